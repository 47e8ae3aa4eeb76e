package brokertest_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"

	"github.com/pregon/pregon/broker"
)

// A Loop is one node of a broker whose backend is a variable.
type Loop struct {
	backend *Backend
	closed  bool
}

// A Backend is what the nodes share.
type Backend struct {
	mu    sync.Mutex         // guards all fields of the three types
	feeds map[*LoopFeed]bool // the open ones
}

// NewBackend returns one without nodes.
func NewBackend() *Backend { return &Backend{feeds: map[*LoopFeed]bool{}} }

// Open opens one more node.
func (b *Backend) Open() *Loop { return &Loop{backend: b} }

func init() {
	broker.Register("loop", func(_ context.Context, u *url.URL) (broker.Broker, error) {
		if *u != (url.URL{Scheme: "loop"}) {
			return nil, fmt.Errorf("%w: loop: nothing may follow loop://", broker.ErrURL)
		}
		return NewBackend().Open(), nil
	})
}

func (l *Loop) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	l.backend.mu.Lock()
	defer l.backend.mu.Unlock()
	if err := check(ctx, l.closed, m.Channel); err != nil {
		return broker.Receipt{}, fmt.Errorf("loop: publish: %w", err)
	}
	for f := range l.backend.feeds {
		if f.channels[m.Channel] {
			f.queue.Push(broker.Message{Channel: m.Channel, Data: m.Data, Binary: m.Binary, By: m.By, Traceparent: m.Traceparent}.Normalized())
		}
	}
	return broker.Receipt{}, nil
}

func (l *Loop) Feed(ctx context.Context) (broker.Feed, error) {
	l.backend.mu.Lock()
	defer l.backend.mu.Unlock()
	if err := check(ctx, l.closed); err != nil {
		return nil, fmt.Errorf("loop: feed: %w", err)
	}
	f := &LoopFeed{loop: l, queue: broker.NewQueue(), channels: map[string]bool{}}
	l.backend.feeds[f] = true
	return f, nil
}

func (l *Loop) Close() error {
	l.backend.mu.Lock()
	defer l.backend.mu.Unlock()
	l.closed = true
	for f := range l.backend.feeds {
		if f.loop == l {
			f.end()
		}
	}
	return nil
}

// A LoopFeed leaves to its queue what a Feed owes to a reader that is slow.
type LoopFeed struct {
	loop     *Loop
	queue    *broker.Queue
	channels map[string]bool
}

func (f *LoopFeed) Subscribe(ctx context.Context, channels ...string) error {
	f.loop.backend.mu.Lock()
	defer f.loop.backend.mu.Unlock()
	if err := check(ctx, !f.loop.backend.feeds[f], channels...); err != nil {
		return fmt.Errorf("loop: add: %w", err)
	}
	for _, c := range channels {
		f.channels[c] = true
	}
	return nil
}

func (f *LoopFeed) Unsubscribe(_ context.Context, channels ...string) error {
	f.loop.backend.mu.Lock()
	defer f.loop.backend.mu.Unlock()
	for _, c := range channels {
		delete(f.channels, c)
	}
	return check(context.Background(), !f.loop.backend.feeds[f])
}

func (f *LoopFeed) Next() (broker.Message, error) { return f.queue.Next() }

func (f *LoopFeed) Close() error {
	f.loop.backend.mu.Lock()
	defer f.loop.backend.mu.Unlock()
	f.end()
	return nil
}

func (f *LoopFeed) end() {
	delete(f.loop.backend.feeds, f)
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

// A complete driver: it passes [Run], and is opened by its URL.
func Example() {
	ctx := context.Background()
	b, err := broker.Open(ctx, "loop://")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()

	feed, _ := b.Feed(ctx)
	if err := feed.Subscribe(ctx, "noticias"); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, broker.Message{Channel: "noticias", Data: []byte("Hola")}); err != nil {
		fmt.Println(err)
		return
	}
	m, err := feed.Next()
	fmt.Printf("[%s] %s %v\n", m.Channel, m.Data, err)
	// Output: [noticias] Hola <nil>
}
