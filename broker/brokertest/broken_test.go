package brokertest_test

import (
	"context"

	"github.com/pregon/pregon/broker"
)

// A brokenBroker is the embedded one but for the functions that are set.
type brokenBroker struct {
	broker.Broker
	publish func(context.Context, broker.Message) (broker.Receipt, error)
	feed    func(broker.Feed) broker.Feed
	close   func() error
}

func (b *brokenBroker) Unwrap() broker.Broker { return b.Broker }

func (b *brokenBroker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if b.publish != nil {
		return b.publish(ctx, m)
	}
	return b.Broker.Publish(ctx, m)
}

func (b *brokenBroker) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := b.Broker.Feed(ctx)
	if err == nil && b.feed != nil {
		f = b.feed(f)
	}
	return f, err
}

func (b *brokenBroker) Close() error {
	if b.close != nil {
		return b.close()
	}
	return b.Broker.Close()
}

// A brokenFeed is the embedded one but for the functions that are set.
type brokenFeed struct {
	broker.Feed
	add, remove func(context.Context, ...string) error
	next        func() (broker.Message, error)
	close       func() error
}

func (f *brokenFeed) Subscribe(ctx context.Context, channels ...string) error {
	if f.add != nil {
		return f.add(ctx, channels...)
	}
	return f.Feed.Subscribe(ctx, channels...)
}

func (f *brokenFeed) Unsubscribe(ctx context.Context, channels ...string) error {
	if f.remove != nil {
		return f.remove(ctx, channels...)
	}
	return f.Feed.Unsubscribe(ctx, channels...)
}

func (f *brokenFeed) Next() (broker.Message, error) {
	if f.next != nil {
		return f.next()
	}
	return f.Feed.Next()
}

func (f *brokenFeed) Close() error {
	if f.close != nil {
		return f.close()
	}
	return f.Feed.Close()
}

func onFeed(corrupt func(*brokenFeed)) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &brokenBroker{Broker: b, feed: func(f broker.Feed) broker.Feed {
			broken := &brokenFeed{Feed: f}
			corrupt(broken)
			return broken
		}}
	}
}

func onMessage(corrupt func(*broker.Message)) func(broker.Broker) broker.Broker {
	return onFeed(func(f *brokenFeed) {
		f.next = func() (broker.Message, error) {
			m, err := f.Feed.Next()
			corrupt(&m)
			return m, err
		}
	})
}
