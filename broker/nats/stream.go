package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

// spare is what part of its time a stream keeps messages beyond it. So Keep has to write only of channels
// whose newest message is older than that.
const spare = 4

// config returns the stream that keeps o.History.
func (o Options) config() jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if o.InMemory {
		storage = jetstream.MemoryStorage
	}
	age := o.History.MaxAge
	return jetstream.StreamConfig{
		Name:              o.names.stream,
		Description:       "messages of pregon, see its broker/README.md",
		Subjects:          o.names.subjects,
		Storage:           storage,
		Replicas:          o.Replicas,
		MaxMsgs:           -1,
		MaxBytes:          -1,
		MaxAge:            age + age/spare,
		MaxMsgsPerSubject: int64(o.History.MaxMessages),
		Duplicates:        age,
		RePublish:         &jetstream.RePublish{Source: ">", Destination: o.names.liveOf(">")},
		AllowDirect:       true,
		AllowRollup:       true,
		AllowMsgTTL:       true,
	}
}

// ensure makes the stream where there is none, and otherwise checks that it is as it has to be.
func (o Options) ensure(ctx context.Context, c *conn) (*jetstream.StreamInfo, error) {
	info, err := o.look(ctx, c)
	if !errors.Is(err, jetstream.ErrStreamNotFound) {
		return info, err
	}
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, err
	}
	s, err := js.CreateStream(ctx, o.config())
	if err != nil {
		return nil, streamError(o.names.stream, err)
	}
	return s.CachedInfo(), o.fits(s.CachedInfo())
}

// look checks that the stream is as it has to be, and makes none: where there is none, the error is
// jetstream.ErrStreamNotFound.
func (o Options) look(ctx context.Context, c *conn) (*jetstream.StreamInfo, error) {
	if on, _ := c.ConnectedServerJetStream(); !on {
		return nil, fmt.Errorf("a history needs JetStream, which the server has not turned on: %w", broker.ErrDenied)
	}
	info, err := o.info(ctx, c)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, err
	case err != nil:
		return nil, streamError(o.names.stream, err)
	}
	return info, o.fits(info)
}

// fits says what of a stream is not as o asks for.
func (o Options) fits(info *jetstream.StreamInfo) error {
	if what := differences(info.Config, o.config()); len(what) > 0 {
		return fmt.Errorf("the stream %s is not what the URL asks for: %s; change either, or remove the stream: %w",
			o.names.stream, strings.Join(what, ", "), broker.ErrDenied)
	}
	return nil
}

// streamError says why a stream could not be looked at or made.
func streamError(name string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("a history needs JetStream: %w: %w", err, broker.ErrDenied)
	case errors.As(err, &api) && api.Code == 400:
		return fmt.Errorf("make the stream %s: %w: %w", name, err, broker.ErrDenied)
	}
	return fmt.Errorf("make the stream %s: %w: %w", name, err, broker.ErrUnavailable)
}

// differences names what of a stream is not as it has to be.
func differences(is, want jetstream.StreamConfig) (what []string) {
	differs := func(name string, is, want any) {
		if is != want {
			what = append(what, fmt.Sprintf("%s is %v and not %v", name, is, want))
		}
	}
	sorted := func(subjects []string) string {
		return strings.Join(slices.Sorted(slices.Values(subjects)), ",")
	}
	differs("subjects", sorted(is.Subjects), sorted(want.Subjects))
	differs("storage", is.Storage, want.Storage)
	differs("replicas", is.Replicas, want.Replicas)
	differs("retention", is.Retention, want.Retention)
	differs("discard", is.Discard, want.Discard)
	differs("max_age", is.MaxAge, want.MaxAge)
	differs("max_msgs_per_subject", is.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	differs("max_msgs", unlimited(is.MaxMsgs), want.MaxMsgs)
	differs("max_bytes", unlimited(is.MaxBytes), want.MaxBytes)
	differs("duplicate_window", is.Duplicates, want.Duplicates)
	differs("republish", republish(is.RePublish), republish(want.RePublish))
	differs("allow_direct", is.AllowDirect, want.AllowDirect)
	differs("allow_rollup_hdrs", is.AllowRollup, want.AllowRollup)
	differs("allow_msg_ttl", is.AllowMsgTTL, want.AllowMsgTTL)
	differs("no_ack", is.NoAck, false)
	differs("sealed", is.Sealed, false)
	return what
}

func unlimited(n int64) int64 {
	if n <= 0 {
		return -1
	}
	return n
}

func republish(r *jetstream.RePublish) string {
	if r == nil {
		return "off"
	}
	return fmt.Sprint(r.Source, " to ", r.Destination, map[bool]string{true: ", headers only"}[r.HeadersOnly])
}
