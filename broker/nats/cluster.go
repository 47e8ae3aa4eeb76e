package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pregon/pregon/broker"
)

// Where a stream is kept by several servers, one of them leads: it stores, acknowledges, and sends on. Others may be a
// little behind it.
const (
	maxTries    = 100
	behindPause = 5 * time.Millisecond
)

// pause waits for d, and returns an error where ctx ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// reached returns up to which number the server that answers has the stream.
func (c *conn) reached(ctx context.Context, o Options) (uint64, error) {
	answers, err := c.ask(ctx, []request{get{MultiLast: []string{o.names.epoch()}}.of(o.names.stream)})
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: %w", err, broker.ErrUnavailable)
	case answers[0].err != nil || answers[0].end == nil:
		return 0, answers[0].err
	}
	return number(answers[0].end, "Nats-UpTo-Sequence"), nil
}

// catchUp returns when the server that answers has all that the leader has.
func (s *session) catchUp(ctx context.Context) error {
	if !s.opts.clustered() {
		return nil
	}
	info, err := s.opts.info(ctx, s.conn)
	for err == nil {
		var reached uint64
		if reached, err = s.reached(ctx, s.opts); err == nil && reached >= info.State.LastSeq {
			return nil
		}
		if err == nil {
			err = pause(ctx, behindPause)
		}
	}
	return fmt.Errorf("wait for all servers to have the stream: %w", unlessKnown(err))
}

// info asks the leader how the stream is.
func (o Options) info(ctx context.Context, c *conn) (*jetstream.StreamInfo, error) {
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, err
	}
	s, err := js.Stream(ctx, o.names.stream)
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// reachLeader returns when the leader knows of all that c has subscribed before: its server hears of that ahead of
// what is published by c then, and acknowledges that.
func (o Options) reachLeader(ctx context.Context, c *conn) error {
	answers, err := c.ask(ctx, []request{{subject: o.names.mark(), header: natsgo.Header{"Nats-Rollup": {"sub"}}}})
	if err == nil {
		_, _, err = ackOf(answers[0])
	}
	return err
}

// watched calls deliver, which ends where another server leads the stream than when the link was made: what the
// old leader has stored last it may not have sent on.
func (l *link) watched(ctx context.Context, deliver func(context.Context) error) error {
	if !l.feed.opts.clustered() {
		return deliver(ctx)
	}
	ctx, end := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		end(l.watch(ctx))
	}()
	err := deliver(ctx)
	end(nil)
	<-watched
	if errors.Is(err, context.Canceled) {
		err = context.Cause(ctx)
	}
	return err
}

// watch returns when another server leads the stream, or ctx ends.
func (l *link) watch(ctx context.Context) error {
	for {
		if err := pause(ctx, l.feed.opts.Heartbeat); err != nil {
			return err
		}
		asked, cancel := context.WithTimeout(ctx, l.feed.opts.Timeout)
		info, err := l.feed.opts.info(asked, l.conn)
		cancel()
		if err == nil && leads(info) != leads(l.stream) {
			return fmt.Errorf("another server leads the stream: %w", broker.ErrUnavailable)
		}
	}
}

// leads says which server leads a stream, and since when.
func leads(info *jetstream.StreamInfo) string {
	switch {
	case info.Cluster == nil:
		return ""
	case info.Cluster.LeaderSince == nil:
		return info.Cluster.Leader
	}
	return info.Cluster.Leader + " since " + info.Cluster.LeaderSince.UTC().String()
}

// askAgain is ask, which has what was refused because the same is just being stored asked again.
func (s *session) askAgain(ctx context.Context, requests []request) ([]answer, error) {
	answers, err := s.ask(ctx, requests)
	for tries := 0; err == nil && tries < maxTries; tries++ {
		var again []request
		var at []int
		for i, a := range answers {
			if isInProcess(a) {
				again, at = append(again, requests[i]), append(at, i)
			}
		}
		if len(again) == 0 || pause(ctx, behindPause) != nil {
			break
		}
		var newer []answer
		newer, err = s.ask(ctx, again)
		for i, a := range newer {
			answers[at[i]] = a
		}
	}
	return answers, err
}

func isInProcess(a answer) bool {
	if !a.ended || a.err != nil {
		return false
	}
	_, _, err := ackOf(a)
	var refused *apiError
	return errors.As(err, &refused) && refused.ErrCode == errInProcess
}
