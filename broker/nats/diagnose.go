package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

var (
	_ broker.Diagnoser = (*Broker)(nil)
	_ broker.Maker     = (*Broker)(nil)
)

// longestMessage is the longest message of pregon unless it is told otherwise.
const longestMessage = 1<<20 + beside

// Diagnose implements broker.Diagnoser. It makes no stream and begins no epoch.
func (b *Broker) Diagnose(ctx context.Context) ([]broker.Finding, error) {
	if b.closing.Err() != nil {
		return nil, fmt.Errorf("nats: diagnose: %w", broker.ErrClosed)
	}
	c, err := dial(ctx, b.opts, nil)
	if err != nil {
		return []broker.Finding{b.opts.permissions()}, fmt.Errorf("nats: diagnose: %w", err)
	}
	s := &session{conn: c, opts: b.opts, seen: b.seen}
	defer s.close()
	findings := []broker.Finding{s.version(), s.longest()}
	if b.opts.Lossy {
		findings = append(findings, s.cluster())
	}
	if !b.opts.History.IsZero() {
		ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
		defer cancel()
		info, err := b.opts.look(ctx, c)
		if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
			return append(findings, b.opts.permissions()), fmt.Errorf("nats: diagnose: %w", unlessKnown(err))
		}
		findings = append(findings, b.opts.storage(info), s.power(ctx))
	}
	return append(findings, b.opts.permissions()), nil
}

// Unmade implements broker.Maker: a stream is not changed by a node, and one that has another window is refused; and
// what begins an epoch has clients told that they may have missed something.
func (b *Broker) Unmade(ctx context.Context) (string, error) {
	if b.opts.History.IsZero() {
		return "", nil
	}
	c, err := dial(ctx, b.opts, nil)
	if err != nil {
		return "", fmt.Errorf("nats: look: %w", err)
	}
	defer (&session{conn: c}).close()
	ctx, cancel := context.WithTimeout(ctx, b.opts.Timeout)
	defer cancel()
	info, err := b.opts.look(ctx, c)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return "the stream " + b.opts.names.stream, nil
	}
	w := witness{}
	w.seen, w.seenTime = b.seen.get()
	if err == nil {
		err = b.opts.ask(ctx, c, &w)
	}
	switch {
	case err != nil:
		return "", fmt.Errorf("nats: look: %w", unlessKnown(err))
	case w.verdict(c, info.State.LastSeq, info.Config.Replicas) != goesOn:
		return "the beginning of an epoch in the stream " + b.opts.names.stream, nil
	}
	return "", nil
}

func (s *session) version() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "version", Detail: "NATS " + printable(s.ConnectedServerVersion()) + ", without a history."}
	if !s.opts.History.IsZero() {
		f.Detail = "NATS " + printable(s.ConnectedServerVersion()) + " with JetStream."
	}
	return f
}

// printable returns a word of a server's without what would change what is written.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text[:min(len(text), 40)])
}

func (s *session) longest() broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "max_payload",
		Detail: fmt.Sprintf("The server takes messages of %d bytes; longer ones are answered 413.", s.MaxPayload())}
	if s.MaxPayload() < longestMessage {
		f.Severity = broker.SeverityWarning
		f.Detail = fmt.Sprintf("The server takes messages of %d bytes, with what says who published them; longer ones are answered 413, also where --max-message lets them in.", s.MaxPayload())
		f.Advice = "Set max_payload: 2MB in the server's configuration, or --max-message below it."
	}
	return f
}

// storage says where the history is, or will be where info is nil, as there is no stream.
func (o Options) storage(info *jetstream.StreamInfo) broker.Finding {
	f := broker.Finding{Severity: broker.SeverityOK, Subject: "storage"}
	where := "in files of one server"
	switch {
	case o.InMemory:
		f.Severity, where = broker.SeverityWarning, "in the memory of the server, and gone with it"
		f.Advice = "Leave storage=memory away, and remove the stream."
		if info == nil {
			f.Advice = "Leave storage=memory away."
		}
	case o.Replicas > 1:
		where = fmt.Sprintf("in files of %d servers", o.Replicas)
	}
	if info == nil {
		f.Detail = fmt.Sprintf("There is no stream %s yet. The first node makes it, and keeps the history %s.", o.names.stream, where)
		return f
	}
	f.Detail = fmt.Sprintf("The stream %s keeps the history %s: %d messages, %d bytes.", o.names.stream, where, info.State.Msgs, info.State.Bytes)
	for _, r := range replicas(info) {
		if !r.Current {
			f.Severity, f.Advice = broker.SeverityWarning, "Look after the server "+printable(r.Name)+": what is acknowledged now is on fewer servers."
		}
	}
	return f
}

func replicas(info *jetstream.StreamInfo) []*jetstream.PeerInfo {
	if info.Cluster == nil {
		return nil
	}
	return info.Cluster.Replicas
}

// power says what becomes of the history where the server loses its power. Only accounts of the system may ask.
func (s *session) power(ctx context.Context) broker.Finding {
	f := broker.Finding{Severity: broker.SeverityWarning, Subject: "power",
		Advice: "Set sync_interval: always in the section jetstream of the server's configuration, or keep the history on three servers that do not lose their power together."}
	sync, err := s.syncs(ctx)
	switch {
	case err != nil:
		f.Detail = "Whether what is acknowledged outlives a power cut cannot be asked with this account. A server that is killed keeps it."
	case sync == 0:
		f.Severity, f.Advice, f.Detail = broker.SeverityOK, "", "What is acknowledged is on the disk (sync_interval: always)."
	default:
		f.Detail = fmt.Sprintf("What was acknowledged in the last %v may be lost with the power. A server that is killed keeps it.", sync)
	}
	return f
}

// syncs returns how often a server brings what it has stored to its disk, 0 for always.
func (s *session) syncs(ctx context.Context) (time.Duration, error) {
	m, err := s.RequestMsgWithContext(ctx, &natsgo.Msg{Subject: "$SYS.REQ.SERVER." + s.ConnectedServerId() + ".JSZ"})
	if err != nil {
		return 0, err
	}
	var says struct {
		Data *struct {
			Config struct {
				SyncInterval time.Duration `json:"sync_interval"`
				SyncAlways   bool          `json:"sync_always"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := json.Unmarshal(m.Data, &says); err != nil || says.Data == nil {
		return 0, fmt.Errorf("the answer is none: %w", broker.ErrUnavailable)
	}
	if says.Data.Config.SyncAlways {
		return 0, nil
	}
	return says.Data.Config.SyncInterval, nil
}

// permissions names what a node has to be allowed.
func (o Options) permissions() broker.Finding {
	publish, subscribe := []string{o.Prefix + ">"}, []string{o.Prefix + ">"}
	if !o.History.IsZero() {
		publish = append(append([]string{}, o.names.subjects...), o.apis()...)
		subscribe = []string{o.names.liveOf(">"), "_INBOX.>"}
	}
	return broker.Finding{Severity: broker.SeverityOK, Subject: "permissions",
		Detail: fmt.Sprintf("A node needs permissions: {publish: [%s], subscribe: [%s]}.", quotedList(publish), quotedList(subscribe))}
}

// apis are the subjects by which JetStream is asked.
func (o Options) apis() []string {
	return []string{
		"$JS.API.STREAM.INFO." + o.names.stream, "$JS.API.STREAM.CREATE." + o.names.stream, "$JS.API.DIRECT.GET." + o.names.stream,
	}
}

func quotedList(subjects []string) string {
	return `"` + strings.Join(subjects, `", "`) + `"`
}
