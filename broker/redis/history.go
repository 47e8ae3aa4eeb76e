package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/route"
	"github.com/pregon/pregon/broker/redis/internal/script"
	"github.com/pregon/pregon/broker/redis/internal/stream"
)

var (
	_ broker.Linked   = (*Broker)(nil)
	_ broker.Lossy    = (*Broker)(nil)
	_ broker.Marker   = (*Broker)(nil)
	_ broker.Clearer  = (*Broker)(nil)
	_ broker.Prober   = (*Broker)(nil)
	_ broker.Retainer = (*Broker)(nil)
)

// Retention implements broker.Historian.
func (b *Broker) Retention() broker.Retention { return b.opts.History }

// Retain implements [broker.Retainer].
func (b *Broker) Retain(longest broker.Retention, of func(channel string) broker.Retention) {
	if h := b.shard.history; h != nil {
		h.Retain(longest, of)
	}
}

// History implements broker.Historian.
func (b *Broker) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = b.eachHistory([]string{channel}, func(s *stream.Server, _ []string) (err error) {
		page, err = s.History(ctx, channel, q)
		return err
	})
	return page, err
}

// Newest implements broker.Historian.
func (b *Broker) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	return b.positions(channels, func(s *stream.Server, some []string) ([]broker.Position, error) {
		return s.Newest(ctx, some...)
	})
}

// Keep implements broker.Historian.
func (b *Broker) Keep(ctx context.Context, channels ...string) error {
	return b.eachHistory(channels, func(s *stream.Server, some []string) error {
		return s.Keep(ctx, some...)
	})
}

// Clear implements [broker.Clearer]. Feeds of b report it at once. Those of other nodes do
// not hear of it: their readers see it in Newest, or by the epoch of the next message.
func (b *Broker) Clear(ctx context.Context, channel string) error {
	cleared := false
	err := b.eachHistory([]string{channel}, func(s *stream.Server, _ []string) (err error) {
		cleared, err = s.Clear(ctx, channel)
		return err
	})
	if cleared {
		b.route(channel).cleared(channel)
	}
	return err
}

var errProbe = fmt.Errorf("a probe is for channels whose names begin with %q: %w", broker.ReservedPrefix, errors.ErrUnsupported)

// Probe implements [broker.Prober].
func (b *Broker) Probe(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	err := b.readable([]string{m.Channel})
	if err == nil && !strings.HasPrefix(m.Channel, broker.ReservedPrefix) { // Feeds would take it for what is kept
		err = errProbe
	}
	if err != nil {
		return broker.Receipt{}, b.readError(err)
	}
	return b.route(m.Channel).pipeline.Probe(ctx, m)
}

// Mark implements [broker.Marker].
func (b *Broker) Mark(ctx context.Context, channels ...string) error {
	return b.eachHistory(channels, func(s *stream.Server, some []string) error {
		return s.Mark(ctx, some...)
	})
}

// Marks implements [broker.Marker].
func (b *Broker) Marks(ctx context.Context, channels ...string) ([]broker.Position, error) {
	return b.positions(channels, func(s *stream.Server, some []string) ([]broker.Position, error) {
		return s.Marks(ctx, some...)
	})
}

// positions is eachHistory for what returns a position per channel.
func (b *Broker) positions(channels []string, of func(*stream.Server, []string) ([]broker.Position, error)) ([]broker.Position, error) {
	all := make([]broker.Position, 0, len(channels))
	err := b.eachHistory(channels, func(s *stream.Server, some []string) error {
		part, err := of(s, some)
		all = append(all, part...)
		return err
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// eachHistory has do what is to be done on the server of each of channels, with those
// that are on it, until it fails.
func (b *Broker) eachHistory(channels []string, do func(*stream.Server, []string) error) error {
	err := b.readable(channels)
	for err == nil && len(channels) > 0 {
		s, some, rest := route.Next(channels, b.route)
		channels = rest
		err = do(s.history, some)
	}
	return b.readError(err)
}

// readable says why histories cannot be read.
func (b *Broker) readable(channels []string) error {
	switch {
	case b.closed():
		return broker.ErrClosed
	case b.opts.History.IsZero():
		return fmt.Errorf("no history is kept: %w", errors.ErrUnsupported)
	case slices.Contains(channels, ""):
		return reply.ErrNoName
	}
	return nil
}

// readError is what the methods of a history say of err.
func (b *Broker) readError(err error) error {
	switch {
	case err == nil:
		return nil
	case b.closed():
		err = broker.ErrClosed
	case !errors.Is(err, errors.ErrUnsupported) && !errors.Is(err, reply.ErrNoName):
		err = reply.Outcome(err, false)
	}
	return fmt.Errorf("redis: history: %w", err)
}

// PublishScript implements [broker.Scripter]: for
//
//	EVAL "$SCRIPT" 1 CHANNEL MESSAGE
//
// The reply is the cursor of the message. An error that begins with PREGONRUN means
// that nothing was done and the next try may succeed: the server was started again
// and no node has connected since.
func (b *Broker) PublishScript() string { return script.ForOthers(b.opts.Prefix) }

// PublishFunction implements [broker.Scripter]: for FUNCTION LOAD, and then
//
//	FCALL pregon_publish 1 CHANNEL MESSAGE
func (b *Broker) PublishFunction() string { return script.Library(b.opts.Prefix) }
