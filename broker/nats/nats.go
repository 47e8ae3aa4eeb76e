package nats

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// A Broker is a node's connections to NATS: one to publish by, one to read the history by, and one per Feed.
type Broker struct {
	opts      Options
	seen      *memory
	closing   context.Context
	end       context.CancelFunc
	publisher *publisher
	reader    *reader

	restored atomic.Uint64 // links of feeds

	mu    sync.Mutex
	feeds map[*Feed]struct{}
}

var (
	_ broker.Broker         = (*Broker)(nil)
	_ broker.BatchPublisher = (*Broker)(nil)
	_ broker.Linked         = (*Broker)(nil)
)

// New returns a Broker. It contacts nobody. The caller closes it.
func New(o Options) (*Broker, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	return newBroker(o), nil
}

func newBroker(o Options) *Broker {
	b := &Broker{opts: o.withDefaults(), seen: &memory{}, feeds: map[*Feed]struct{}{}}
	b.closing, b.end = context.WithCancel(context.Background())
	b.publisher = newPublisher(b.closing, b.opts, b.seen)
	b.reader = newReader(b.closing, b.opts, b.seen)
	return b
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	result := b.PublishBatch(ctx, []broker.Message{m})[0]
	return result.Receipt, result.Err
}

// PublishBatch implements broker.BatchPublisher.
func (b *Broker) PublishBatch(ctx context.Context, messages []broker.Message) []broker.Result {
	results := b.publisher.publish(ctx, &call{messages: slices.Clone(messages)})
	for i, r := range results {
		if r.Err != nil {
			results[i].Err = fmt.Errorf("nats: publish: %w", r.Err)
		}
	}
	return results
}

// Feed implements broker.Broker.
func (b *Broker) Feed(context.Context) (broker.Feed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, fmt.Errorf("nats: feed: %w", broker.ErrClosed)
	}
	f := newFeed(b.opts, b.seen, func(f *Feed) {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.feeds, f)
	}, func() { b.restored.Add(1) })
	b.feeds[f] = struct{}{}
	return f, nil
}

// Link implements broker.Linked.
func (b *Broker) Link() broker.Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := broker.Link{Up: true, Restored: b.restored.Load()}
	for f := range b.feeds {
		now.Up = now.Up && f.isUp()
	}
	return now
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.end()
	b.mu.Lock()
	open := make([]*Feed, 0, len(b.feeds))
	for f := range b.feeds {
		open = append(open, f)
	}
	b.mu.Unlock()
	for _, f := range open {
		_ = f.Close() // never fails
	}
	b.publisher.wait()
	b.reader.close()
	return nil
}
