package brokertest_test

import (
	"context"
	"errors"

	"github.com/pregon/pregon/broker"
)

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

func (awayFeed) Add(context.Context, ...string) error { return errAway }

func failedIsUncertain(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		r, err := b.Publish(ctx, m)
		if errors.Is(err, broker.ErrUnavailable) {
			err = broker.ErrUncertain
		}
		return r, err
	}}
}
