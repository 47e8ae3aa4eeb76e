package transporttest

import (
	"context"
	"fmt"
	"sync"

	"github.com/pregon/pregon/broker"
)

// Messages that a faulty broker takes for orders: its feed puts a gap in their place.
const (
	lost   = "transporttest: lost"
	denied = "transporttest: denied"
)

// A faulty broker is the embedded one, but for what a test wants of it.
type faulty struct {
	broker.Broker
	mu    sync.Mutex
	gates map[string]*gate
}

// A keeping is a faulty broker with a history.
type keeping struct {
	*faulty
	broker.Historian
}

// A gate is what the confirmation of a channel waits for.
type gate struct {
	reached func()
	asked   chan struct{} // closed by reached, when the channel is asked for
	open    chan struct{} // closed where it is to be confirmed
	refused bool          // it is refused instead
}

// hold has the confirmation of a channel wait until the gate's open is closed.
func (b *faulty) hold(channel string) *gate { return b.gate(channel, false) }

// refuse has a channel refused.
func (b *faulty) refuse(channel string) { b.gate(channel, true) }

func (b *faulty) gate(channel string, refused bool) *gate {
	g := &gate{asked: make(chan struct{}), open: make(chan struct{}), refused: refused}
	g.reached = sync.OnceFunc(func() { close(g.asked) })
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gates[channel] = g
	return g
}

func (b *faulty) gateOf(channel string) *gate {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.gates[channel]
}

// Feed implements broker.Broker.
func (b *faulty) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := b.Broker.Feed(ctx)
	return &faultyFeed{f, b}, err
}

type faultyFeed struct {
	broker.Feed
	broker *faulty
}

// Subscribe implements broker.Feed.
func (f *faultyFeed) Subscribe(ctx context.Context, channels ...string) error {
	for _, channel := range channels {
		g := f.broker.gateOf(channel)
		switch {
		case g == nil:
			continue
		case g.refused:
			return fmt.Errorf("transporttest: %w", broker.ErrDenied)
		}
		g.reached()
		select {
		case <-g.open:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.Feed.Subscribe(ctx, channels...)
}

// Next implements broker.Feed.
func (f *faultyFeed) Next() (broker.Message, error) {
	m, err := f.Feed.Next()
	if err != nil {
		return m, err
	}
	switch string(m.Data) {
	case lost:
		return broker.Message{}, &broker.GapError{Channels: []string{m.Channel}, Reason: broker.LinkLost}
	case denied:
		return broker.Message{}, &broker.GapError{Channels: []string{m.Channel}, Reason: broker.Denied}
	}
	return m, nil
}
