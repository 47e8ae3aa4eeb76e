package brokertest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
)

var errUnsupported = fmt.Errorf("hardship: no history is kept: %w", errors.ErrUnsupported)

var errAway = errors.Join(errors.New("away: nobody listens"), broker.ErrUnavailable)

// An away is a node whose backend cannot be reached.
type away struct{ broker.Broker }

func (away) Publish(context.Context, broker.Message) (broker.Receipt, error) {
	return broker.Receipt{}, errAway
}

func (a away) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := a.Broker.Feed(ctx)
	return awayFeed{f}, err
}

type awayFeed struct{ broker.Feed }

func (awayFeed) Subscribe(context.Context, ...string) error { return errAway }

func failedIsUncertain(b broker.Broker) broker.Broker {
	return onPublishError(broker.ErrUnavailable, broker.ErrUncertain)(b)
}

// onPublishError makes one error of Publish another.
func onPublishError(is, becomes error) func(broker.Broker) broker.Broker {
	return func(b broker.Broker) broker.Broker {
		return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			r, err := b.Publish(ctx, m)
			if errors.Is(err, is) {
				err = becomes
			}
			return r, err
		}}
	}
}

// addsLater adds what could not be added once something else was heard.
func addsLater(f *brokenFeed) {
	var failed names
	f.add = func(ctx context.Context, channels ...string) error {
		err := f.Feed.Subscribe(ctx, channels...)
		if err != nil {
			failed.put(channels...)
		}
		return err
	}
	f.next = func() (broker.Message, error) {
		m, err := f.Feed.Next()
		_ = f.Feed.Subscribe(context.Background(), failed.list()...)
		return m, err
	}
}

// addsWithoutAsking takes a channel that was added for one that is there.
func addsWithoutAsking(f *brokenFeed) {
	var added names
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if added.has(c) {
				continue
			}
			if err := f.Feed.Subscribe(ctx, c); err != nil {
				return err
			}
			added.put(c)
		}
		return nil
	}
}

// deafSinceGap hears nothing behind a gap.
func deafSinceGap(f *brokenFeed) {
	deaf := false
	f.next = func() (broker.Message, error) {
		for {
			m, err := f.Feed.Next()
			if err == nil && deaf {
				continue
			}
			deaf = deaf || errors.As(err, new(*broker.GapError))
			return m, err
		}
	}
}

// batchFailsTogether publishes nothing of a batch in which one message is refused.
func batchFailsTogether(b broker.Broker) broker.Broker {
	return &batchBroker{b, func(ctx context.Context, messages []broker.Message) []broker.Result {
		results := broker.PublishAll(ctx, b, messages)
		for i := range results {
			for _, other := range results {
				if errors.Is(other.Err, broker.ErrDenied) {
					results[i].Err = other.Err
				}
			}
		}
		return results
	}}
}
