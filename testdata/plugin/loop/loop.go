// Package loop is a driver that lives outside pregon's module: a broker whose
// backend is a variable, opened as loop:// or, with a history, loop://?history=5m. A
// driver of a real system differs in what stands in the place of [Backend].
package loop

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/pregon/pregon/broker"
)

// A Node implements broker.Broker.
type Node struct {
	backend *Backend
	closed  bool
}

// A Backend is what the nodes share. It needs no closing.
type Backend struct {
	mu      sync.Mutex     // guards all fields of all types
	feeds   map[*Feed]bool // the open ones
	archive *archive       // nil where no history is kept
}

// NewBackend returns one without nodes.
func NewBackend() *Backend { return &Backend{feeds: map[*Feed]bool{}} }

// NewBackendWithHistory returns one that keeps the newest messages of each channel.
func NewBackendWithHistory(keep broker.Retention) *Backend {
	b := NewBackend()
	b.archive = newArchive(keep)
	return b
}

// Open opens one more node. The caller closes it.
func (b *Backend) Open() *Node { return &Node{backend: b} }

func init() {
	broker.Register("loop", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		if (*u != url.URL{Scheme: "loop", RawQuery: u.RawQuery}) {
			return nil, fmt.Errorf("%w: loop: nothing but parameters may follow loop://", broker.ErrURL)
		}
		if err := broker.CheckParams(u, broker.ParamHistory, broker.ParamHistorySize); err != nil {
			return nil, err
		}
		keep, err := broker.ParseRetention(u)
		if err != nil {
			return nil, err
		}
		if keep.IsZero() {
			return NewBackend().Open(), nil
		}
		return NewBackendWithHistory(keep).Open(), nil
	})
}

// Publish implements broker.Broker.
func (n *Node) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	if err := check(ctx, n.closed, m.Channel); err != nil {
		return broker.Receipt{}, fmt.Errorf("loop: publish: %w", err)
	}
	if len(m.Key) > broker.MaxKey {
		return broker.Receipt{}, fmt.Errorf("loop: publish: %w", broker.ErrKey)
	}
	key := m.Key
	m = broker.Message{Channel: m.Channel, Data: m.Data, Binary: m.Binary, By: m.By, Traceparent: m.Traceparent}.Normalized() // and no position that a publisher claims
	if a := n.backend.archive; a != nil {
		m.Key = key
		var repeated bool
		if m, repeated = a.add(m); repeated {
			return broker.Receipt{Position: m.Position, Repeated: true}, nil
		}
	}
	for f := range n.backend.feeds {
		if f.channels[m.Channel] {
			f.queue.Push(m)
		}
	}
	return broker.Receipt{Position: m.Position}, nil
}

// Feed implements broker.Broker.
func (n *Node) Feed(ctx context.Context) (broker.Feed, error) {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	if err := check(ctx, n.closed); err != nil {
		return nil, fmt.Errorf("loop: feed: %w", err)
	}
	f := &Feed{node: n, queue: broker.NewQueue(), channels: map[string]bool{}}
	n.backend.feeds[f] = true
	return f, nil
}

// Close implements broker.Broker.
func (n *Node) Close() error {
	n.backend.mu.Lock()
	defer n.backend.mu.Unlock()
	n.closed = true
	for f := range n.backend.feeds {
		if f.node == n {
			f.end()
		}
	}
	return nil
}

// A Feed implements broker.Feed. It leaves to its queue what is owed to a reader
// that is slow.
type Feed struct {
	node     *Node
	queue    *broker.Queue
	channels map[string]bool
}

// Subscribe implements broker.Feed.
func (f *Feed) Subscribe(ctx context.Context, channels ...string) error {
	f.node.backend.mu.Lock()
	defer f.node.backend.mu.Unlock()
	if err := check(ctx, !f.node.backend.feeds[f], channels...); err != nil {
		return fmt.Errorf("loop: add: %w", err)
	}
	for _, c := range channels {
		f.channels[c] = true
	}
	return nil
}

// Unsubscribe implements broker.Feed.
func (f *Feed) Unsubscribe(_ context.Context, channels ...string) error {
	f.node.backend.mu.Lock()
	defer f.node.backend.mu.Unlock()
	for _, c := range channels {
		delete(f.channels, c)
	}
	return check(context.Background(), !f.node.backend.feeds[f])
}

// Next implements broker.Feed.
func (f *Feed) Next() (broker.Message, error) { return f.queue.Next() }

// Close implements broker.Feed.
func (f *Feed) Close() error {
	f.node.backend.mu.Lock()
	defer f.node.backend.mu.Unlock()
	f.end()
	return nil
}

func (f *Feed) end() {
	delete(f.node.backend.feeds, f)
	f.queue.Close(broker.ErrClosed)
}

// check is what every call begins with.
func check(ctx context.Context, closed bool, channels ...string) error {
	switch {
	case closed:
		return broker.ErrClosed
	case slices.Contains(channels, ""):
		return errors.New("the channel name is empty")
	}
	return ctx.Err()
}
