package brokertest_test

import (
	"context"
	"fmt"
	"sync"

	"github.com/pregon/pregon/broker"
)

// A hardship is a node whose backend goes away, denies a channel and loses its link when
// a test says so.
type hardship struct {
	broker.Broker
	forbidden string // the channel that is not allowed, "" for none
	marks     *marks // shared by the nodes of a backend

	mu    sync.Mutex
	down  bool
	feeds []*hardFeed
}

var errForbidden = fmt.Errorf("hardship: not this channel: %w", broker.ErrDenied)

func (h *hardship) Unwrap() broker.Broker { return h.Broker }

// hardshipOf returns the one behind the wrappers that break a node.
func hardshipOf(b broker.Broker) *hardship {
	for {
		if h, ok := b.(*hardship); ok {
			return h
		}
		outer, ok := b.(interface{ Unwrap() broker.Broker })
		if !ok {
			return nil
		}
		b = outer.Unwrap()
	}
}

// goDown takes the backend away. The function that it returns brings it back.
func (h *hardship) goDown() (up func()) {
	h.setDown(true)
	return func() {
		h.setDown(false)
		h.lose(0)
	}
}

func (h *hardship) setDown(down bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.down = down
}

// lose has each Feed lose the next n messages, and then say so.
func (h *hardship) lose(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, f := range h.feeds {
		f.losing, f.left = true, n
	}
}

// refusal returns why nothing can be done with channels.
func (h *hardship) refusal(channels ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.down {
		return errAway
	}
	for _, c := range channels {
		if c == h.forbidden && c != "" {
			return errForbidden
		}
	}
	return nil
}

func (h *hardship) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := h.refusal(m.Channel); err != nil {
		return broker.Receipt{}, err
	}
	return h.Broker.Publish(ctx, m)
}

func (h *hardship) Feed(ctx context.Context) (broker.Feed, error) {
	inner, err := h.Broker.Feed(ctx)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	f := &hardFeed{Feed: inner, node: h}
	h.feeds = append(h.feeds, f)
	return f, nil
}

type hardFeed struct {
	broker.Feed
	node *hardship

	added  names
	losing bool // guarded by node.mu, as is what follows
	left   int
	mended bool            // the link is confirmed again, and no gap says so yet
	later  *broker.Message // that came ahead of that gap
}

func (f *hardFeed) Subscribe(ctx context.Context, channels ...string) error {
	if err := f.node.refusal(channels...); err != nil {
		return err
	}
	f.added.put(channels...)
	f.confirm()
	return f.Feed.Subscribe(ctx, channels...)
}

// confirm ends that f loses messages.
func (f *hardFeed) confirm() {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.losing, f.mended = false, f.mended || f.losing
}

func (f *hardFeed) Next() (broker.Message, error) {
	if m := f.later; m != nil {
		f.later = nil
		return *m, nil
	}
	for {
		m, err := f.Feed.Next()
		if err != nil {
			return m, err
		}
		lost, told := f.loses()
		if told && !lost {
			f.later = &m
		}
		switch {
		case told:
			return broker.Message{}, &broker.GapError{Channels: f.added.list(), Reason: broker.LinkLost}
		case !lost:
			return m, nil
		}
	}
}

// loses reports whether the next message is lost, and whether a gap is told in its place
// or ahead of it.
func (f *hardFeed) loses() (lost, told bool) {
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if !f.losing {
		told, f.mended = f.mended, false
		return false, told
	}
	f.left--
	f.losing = f.left > 0
	return true, !f.losing
}

func (h *hardship) Retention() broker.Retention {
	if kept, ok := broker.HistoryOf(h.Broker); ok {
		return kept.Retention()
	}
	return broker.Retention{}
}

func (h *hardship) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = h.read(func(kept broker.Historian) error { page, err = kept.History(ctx, channel, q); return err })
	return page, err
}

func (h *hardship) Newest(ctx context.Context, channels ...string) (newest []broker.Position, err error) {
	err = h.read(func(kept broker.Historian) error { newest, err = kept.Newest(ctx, channels...); return err })
	return newest, err
}

func (h *hardship) Keep(ctx context.Context, channels ...string) error {
	return h.read(func(kept broker.Historian) error { return kept.Keep(ctx, channels...) })
}

func (h *hardship) Clear(ctx context.Context, channel string) error {
	return h.read(func(kept broker.Historian) error { return kept.(broker.Clearer).Clear(ctx, channel) })
}

// Retain has no effect on a driver that is no Retainer.
func (h *hardship) Retain(longest broker.Retention, of func(string) broker.Retention) {
	if r, ok := h.Broker.(broker.Retainer); ok {
		r.Retain(longest, of)
	}
}

// marks are those of one backend, by channel.
type marks struct {
	mu sync.Mutex
	at map[string]broker.Position
}

// Mark keeps marks beside a history that has none. One that belongs to an epoch that has
// ended counts no more.
func (h *hardship) Mark(ctx context.Context, channels ...string) error {
	newest, err := h.Newest(ctx, channels...)
	if err != nil {
		return err
	}
	h.marks.mu.Lock()
	defer h.marks.mu.Unlock()
	for i, c := range channels {
		h.marks.at[c] = newest[i]
	}
	return nil
}

func (h *hardship) Marks(ctx context.Context, channels ...string) ([]broker.Position, error) {
	newest, err := h.Newest(ctx, channels...)
	h.marks.mu.Lock()
	defer h.marks.mu.Unlock()
	at := make([]broker.Position, len(newest))
	for i, c := range channels[:len(newest)] {
		if p := h.marks.at[c]; p.Epoch == newest[i].Epoch {
			at[i] = p
		}
	}
	return at, err
}

func (h *hardship) Probe(ctx context.Context, m broker.Message) (r broker.Receipt, err error) {
	err = h.read(func(kept broker.Historian) error { r, err = kept.(broker.Prober).Probe(ctx, m); return err })
	return r, err
}

func (h *hardship) read(call func(broker.Historian) error) error {
	kept, ok := broker.HistoryOf(h.Broker)
	if !ok {
		return errUnsupported
	}
	if err := h.refusal(); err != nil {
		return err
	}
	return call(kept)
}
