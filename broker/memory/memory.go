// Package memory is the reference driver: a broker within one process, for
// tests, for demos, and for a single server that needs no other. Nothing
// outlives the process, and nothing outside it can publish.
//
//	b := memory.New()                          // one node
//	b, err := broker.Open(ctx, "memory://")    // the same
//
//	bus := memory.NewBus()                     // several nodes that hear each other
//	b1, b2 := bus.Broker(), bus.Broker()
//
// With memory://?history=5m&history-size=1000, or [NewBusWithHistory], the newest
// messages of each channel are kept, see [broker.Historian], and can be cleared, see
// [broker.Clearer]. How many of a channel, and for how long, can be said of each:
// see [broker.Retainer]. Of all channels together at
// most history-bytes are kept, such as 64MiB, and 256 MiB by default: beyond that
// the oldest messages go first, whatever their channel, which the log says once.
// Who asks for what is gone is told that it is.
//
// # Concurrency
//
// Publish puts the message into the queue of every Feed that carries its
// channel before it returns. Publishers share a read lock while they do, so they
// do not wait for each other; what changes the set of feeds or channels takes
// the write lock, so it happens before or after a publication and never in the
// middle. With a history publishers wait for each other, so that messages are heard
// in the order in which they are kept. No call waits for a reader, and there are no
// goroutines: what is too old goes when something else is published.
package memory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

func init() { broker.Register("memory", open) }

// open opens memory://, a node on a bus of its own.
func open(_ context.Context, u *url.URL) (broker.Broker, error) {
	if u.User != nil || u.Host != "" || u.Path != "" || u.Opaque != "" || u.Fragment != "" {
		return nil, fmt.Errorf(`%w: memory: nothing may follow "memory://"`, broker.ErrURL)
	}
	if err := broker.CheckParams(u, broker.ParamHistory, broker.ParamHistorySize, paramBytes); err != nil {
		return nil, err
	}
	keep, err := broker.ParseRetention(u)
	if err != nil {
		return nil, err
	}
	bus := NewBusWithHistory(keep)
	if u.Query().Has(paramBytes) {
		n, err := parseBytes(u.Query().Get(paramBytes))
		if err != nil || keep.IsZero() {
			return nil, fmt.Errorf("%w: memory: the parameter history-bytes is a number of bytes such as 64MiB, beside history", broker.ErrURL)
		}
		bus.LimitHistory(n)
	}
	return bus.Broker(), nil
}

// paramBytes bounds what is kept of all channels together.
const paramBytes = "history-bytes"

// parseBytes returns the bytes that text stands for: digits, and KiB, MiB, GiB or
// nothing.
func parseBytes(text string) (int64, error) {
	shift := 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if digits, ok := strings.CutSuffix(text, unit); ok {
			text, shift = digits, 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, errors.New("memory: not a number of bytes")
	}
	return int64(n) << shift, nil
}

// New returns a Broker on a Bus of its own. The caller closes it.
func New() broker.Broker { return NewBus().Broker() }

// A Bus is the backend that several Brokers share. It needs no closing.
type Bus struct {
	mu    sync.RWMutex       // guards the fields below and those of node and feed
	feeds map[*feed]struct{} // the open ones: about one a node, so Publish looks at each

	archive *archive // nil where no history is kept
}

// NewBus returns a Bus without nodes.
func NewBus() *Bus { return &Bus{feeds: map[*feed]struct{}{}} }

// Broker returns one more node of the Bus. The caller closes it.
func (b *Bus) Broker() broker.Broker { return &node{bus: b} }

type node struct {
	bus    *Bus
	closed bool

	retained atomic.Pointer[broker.RetentionPolicy] // nil before Retain
}

// Publish implements broker.Broker.
func (n *node) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := check(ctx, m.Channel); err != nil {
		return broker.Receipt{}, fmt.Errorf("memory: publish: %w", err)
	}
	if len(m.Key) > broker.MaxKey {
		return broker.Receipt{}, fmt.Errorf("memory: publish: %w", broker.ErrKey)
	}
	m = m.Normalized()
	m.Position, m.Prev = broker.Position{}, broker.Position{}
	receipt, full, err := n.publish(m)
	if full { // not under a lock: the log may wait for its reader
		slog.Warn("memory: the histories of all channels have reached their bound; the oldest messages go first",
			"bytes", n.bus.archive.limit)
	}
	return receipt, err
}

// publish also reports whether the bound of what is kept was reached just now, for
// the first time.
func (n *node) publish(m broker.Message) (r broker.Receipt, full bool, err error) {
	n.bus.mu.RLock()
	defer n.bus.mu.RUnlock()
	switch {
	case n.closed:
		return r, false, fmt.Errorf("memory: publish: %w", broker.ErrClosed)
	case n.bus.archive == nil:
		m.Key = "" // it is not delivered
		n.bus.push(m)
		return r, false, nil
	}
	r, full = n.bus.keep(m, n.policy())
	return r, full, nil
}

// keep keeps m as policy says and pushes it, in one step, so that all feeds get messages in the
// order of their positions.
func (b *Bus) keep(m broker.Message, policy *broker.RetentionPolicy) (r broker.Receipt, full bool) {
	a := b.archive
	a.mu.Lock()
	defer a.mu.Unlock()
	before := a.full
	m, repeated := a.add(m, policy)
	if !repeated {
		b.push(m)
	}
	return broker.Receipt{Position: m.Position, Repeated: repeated}, a.full && !before
}

// push puts m into the queue of every feed that carries its channel.
func (b *Bus) push(m broker.Message) {
	for f := range b.feeds {
		if _, ok := f.channels[m.Channel]; ok {
			f.queue.Push(m)
		}
	}
}

// Feed implements broker.Broker.
func (n *node) Feed(ctx context.Context) (broker.Feed, error) {
	if err := check(ctx); err != nil {
		return nil, fmt.Errorf("memory: feed: %w", err)
	}
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	if n.closed {
		return nil, fmt.Errorf("memory: feed: %w", broker.ErrClosed)
	}
	f := &feed{node: n, queue: broker.NewQueue(), channels: map[string]struct{}{}}
	n.bus.feeds[f] = struct{}{}
	return f, nil
}

// Close implements broker.Broker.
func (n *node) Close() error {
	n.bus.mu.Lock()
	defer n.bus.mu.Unlock()
	n.closed = true
	for f := range n.bus.feeds {
		if f.node == n {
			f.end()
		}
	}
	return nil
}

type feed struct {
	node     *node
	queue    *broker.Queue
	channels map[string]struct{}
}

// Subscribe implements broker.Feed.
func (f *feed) Subscribe(ctx context.Context, channels ...string) error {
	if err := check(ctx, channels...); err != nil {
		return fmt.Errorf("memory: add: %w", err)
	}
	bus := f.node.bus
	bus.mu.Lock()
	defer bus.mu.Unlock()
	if _, open := bus.feeds[f]; !open {
		return fmt.Errorf("memory: add: %w", broker.ErrClosed)
	}
	for _, c := range channels {
		f.channels[c] = struct{}{}
	}
	return nil
}

// Unsubscribe implements broker.Feed. Having nothing to wait for, it does not ask
// the context.
func (f *feed) Unsubscribe(_ context.Context, channels ...string) error {
	bus := f.node.bus
	bus.mu.Lock()
	defer bus.mu.Unlock()
	if _, open := bus.feeds[f]; !open {
		return fmt.Errorf("memory: remove: %w", broker.ErrClosed)
	}
	for _, c := range channels {
		delete(f.channels, c)
	}
	return nil
}

// Next implements broker.Feed.
func (f *feed) Next() (broker.Message, error) { return f.queue.Next() }

// Close implements broker.Feed.
func (f *feed) Close() error {
	f.node.bus.mu.Lock()
	defer f.node.bus.mu.Unlock()
	f.end()
	return nil
}

// end closes the feed for a caller that holds the write lock.
func (f *feed) end() {
	delete(f.node.bus.feeds, f)
	f.queue.Close(broker.ErrClosed)
}

var errNoName = errors.New("the channel name is empty")

// check refuses what no call may begin with: a context that has ended, and a
// channel without a name.
func check(ctx context.Context, channels ...string) error {
	if slices.Contains(channels, "") {
		return errNoName
	}
	return ctx.Err()
}

// IsEmbedded implements broker.Embedded.
func (*node) IsEmbedded() {}
