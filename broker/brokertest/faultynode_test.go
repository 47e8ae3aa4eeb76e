package brokertest_test

import (
	"context"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/pregon/pregon/broker"
)

func closeLeavesFeeds(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b, close: func() error { return nil }}
}

func sharedRemoves(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	var all []*brokenFeed
	return &brokenBroker{Broker: b, feed: func(inner broker.Feed) broker.Feed {
		mu.Lock()
		defer mu.Unlock()
		f := &brokenFeed{Feed: inner}
		all = append(all, f)
		f.remove = func(ctx context.Context, channels ...string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, other := range all {
				if err := other.Feed.Unsubscribe(ctx, channels...); other == f && err != nil {
					return err
				}
			}
			return nil
		}
		return f
	}}
}

func reorders(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	var held *broker.Message
	return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		if held == nil {
			held = &m
			return broker.Receipt{}, nil
		}
		receipt, err := b.Publish(ctx, m)
		if err == nil {
			receipt, err = b.Publish(ctx, *held)
		}
		held = nil
		return receipt, err
	}}
}

func foldsCase(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b,
		publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			m.Channel = strings.ToLower(m.Channel)
			return b.Publish(ctx, m)
		},
		feed: func(inner broker.Feed) broker.Feed {
			f := &brokenFeed{Feed: inner}
			f.add = func(ctx context.Context, channels ...string) error {
				for _, c := range channels {
					if err := inner.Subscribe(ctx, strings.ToLower(c)); err != nil {
						return err
					}
				}
				return nil
			}
			return f
		},
	}
}

// patternNames are what the Feeds of all nodes have added.
var patternNames names

func patterns(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b,
		publish: func(ctx context.Context, m broker.Message) (receipt broker.Receipt, err error) {
			patternNames.Range(func(p, _ any) bool {
				if matches, _ := path.Match(p.(string), m.Channel); matches && p != m.Channel {
					_, _ = b.Publish(ctx, broker.Message{Channel: p.(string), Data: m.Data})
				}
				return true
			})
			return b.Publish(ctx, m)
		},
		feed: func(inner broker.Feed) broker.Feed {
			f := &brokenFeed{Feed: inner}
			f.add = func(ctx context.Context, channels ...string) error {
				patternNames.put(channels...)
				return inner.Subscribe(ctx, channels...)
			}
			return f
		},
	}
}

func ignoresContexts(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		return b.Publish(context.WithoutCancel(ctx), m)
	}}
}

// oneReaderStopsAll gives all Feeds of a node one goroutine that hands out what
// arrives, and waits for the slowest.
func oneReaderStopsAll(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	return &brokenBroker{Broker: b, feed: func(inner broker.Feed) broker.Feed {
		f := &brokenFeed{Feed: inner}
		out, quit := make(chan broker.Message, 100), make(chan struct{})
		go func() {
			for {
				m, err := inner.Next()
				if err != nil {
					return
				}
				mu.Lock()
				select {
				case out <- m:
				case <-quit:
				}
				mu.Unlock()
			}
		}()
		f.next = func() (broker.Message, error) {
			select {
			case m := <-out:
				return m, nil
			case <-quit:
				return broker.Message{}, broker.ErrClosed
			}
		}
		f.close = sync.OnceValue(func() error { close(quit); return inner.Close() })
		return f
	}}
}

// A batchBroker is one with the capability of a BatchPublisher.
type batchBroker struct {
	broker.Broker
	publish func(ctx context.Context, messages []broker.Message) []broker.Result
}

func (b *batchBroker) PublishBatch(ctx context.Context, messages []broker.Message) []broker.Result {
	return b.publish(ctx, messages)
}

func batchBackwards(b broker.Broker) broker.Broker {
	return &batchBroker{b, func(ctx context.Context, messages []broker.Message) []broker.Result {
		messages = slices.Clone(messages)
		slices.Reverse(messages)
		return broker.PublishAll(ctx, b, messages)
	}}
}

func batchLosesLast(b broker.Broker) broker.Broker {
	return &batchBroker{b, func(ctx context.Context, messages []broker.Message) []broker.Result {
		last := max(len(messages)-1, 0)
		return append(broker.PublishAll(ctx, b, messages[:last]), make([]broker.Result, len(messages)-last)...)
	}}
}

func batchIgnoresContexts(b broker.Broker) broker.Broker {
	return &batchBroker{b, func(ctx context.Context, messages []broker.Message) []broker.Result {
		return broker.PublishAll(context.WithoutCancel(ctx), b, messages)
	}}
}

func batchTooFewResults(b broker.Broker) broker.Broker {
	return &batchBroker{b, func(ctx context.Context, messages []broker.Message) []broker.Result {
		results := broker.PublishAll(ctx, b, messages)
		return results[:min(len(results), 1)]
	}}
}
