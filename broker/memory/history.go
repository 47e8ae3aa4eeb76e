package memory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
)

// DefaultHistoryBytes bounds what a Bus keeps of all channels together: payloads,
// keys, and a few hundred bytes for each message and each channel.
const DefaultHistoryBytes = 256 << 20

// NewBusWithHistory returns a Bus without nodes that keeps the newest messages of
// each channel: as many and for as long as keep says, and of all channels together
// what fits in DefaultHistoryBytes.
func NewBusWithHistory(keep broker.Retention) *Bus {
	b := NewBus()
	if !keep.IsZero() {
		b.archive = newArchive(keep)
	}
	return b
}

// LimitHistory replaces the bound DefaultHistoryBytes, for a Bus that no Broker uses
// yet. n is in bytes and at least 1; without a history it has no effect.
func (b *Bus) LimitHistory(n int64) {
	if b.archive != nil {
		b.archive.limit = max(n, 1)
	}
}

// Retention implements broker.Historian.
func (n *node) Retention() broker.Retention {
	if n.bus.archive == nil {
		return broker.Retention{}
	}
	return n.bus.archive.common.Longest()
}

// Retain implements [broker.Retainer].
func (n *node) Retain(longest broker.Retention, of func(channel string) broker.Retention) {
	n.retained.Store(broker.NewRetentionPolicy(n.Retention(), longest, of))
}

// policy is what n was told to keep. There must be an archive.
func (n *node) policy() *broker.RetentionPolicy {
	if told := n.retained.Load(); told != nil {
		return told
	}
	return n.bus.archive.common
}

// History implements broker.Historian.
func (n *node) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	a, err := n.readable(ctx, channel)
	if err != nil {
		return broker.Page{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.sweep(now)
	q.Limit = max(q.Limit, 1)
	return a.pasts[channel].page(q), nil
}

// Newest implements broker.Historian.
func (n *node) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	a, err := n.readable(ctx, channels...)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	newest := make([]broker.Position, len(channels))
	for i, c := range channels {
		newest[i] = a.pasts[c].newest()
	}
	return newest, nil
}

// Keep implements broker.Historian.
func (n *node) Keep(ctx context.Context, channels ...string) error {
	a, err := n.readable(ctx, channels...)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, c := range channels {
		a.use(c, n.policy(), now)
	}
	return nil
}

// Clear implements [broker.Clearer]. All Feeds of the Bus that carry the channel report
// it, in its place among the messages.
func (n *node) Clear(ctx context.Context, channel string) error {
	a, err := n.readable(ctx, channel)
	if err != nil {
		return err
	}
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.pasts[channel]
	if p == nil {
		return nil
	}
	a.forget(p)
	for f := range n.bus.feeds {
		if _, ok := f.channels[channel]; ok {
			f.queue.Gap(broker.Cleared, channel)
		}
	}
	return nil
}

// Probe implements [broker.Prober]. There is nothing that it could find out.
func (n *node) Probe(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	a, err := n.readable(ctx, m.Channel)
	if err != nil {
		return broker.Receipt{}, err
	}
	m = broker.Message{Channel: m.Channel, Data: m.Data, Binary: m.Binary}.Normalized()
	m.Position = broker.Position{Epoch: a.began}
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	n.bus.push(m)
	return broker.Receipt{Position: m.Position}, nil
}

// readable returns the archive, or says why it cannot be read.
func (n *node) readable(ctx context.Context, channels ...string) (*archive, error) {
	if err := check(ctx, channels...); err != nil {
		return nil, fmt.Errorf("memory: history: %w", err)
	}
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	switch {
	case n.closed:
		return nil, fmt.Errorf("memory: history: %w", broker.ErrClosed)
	case n.bus.archive == nil:
		return nil, fmt.Errorf("memory: history: none is kept: %w", errors.ErrUnsupported)
	}
	return n.bus.archive, nil
}
