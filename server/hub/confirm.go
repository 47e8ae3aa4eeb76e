package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/backoff"
)

// confirmed returns when the feed carries topics over a link that stands, or with the
// reason for each why it does not. That a topic was confirmed once is not enough: the
// link may have been lost since, and the feed be restoring it. So the feed is asked again
// for what it carries, which costs the broker nothing while the link stands. The caller
// has acquired the topics, so nobody removes them meanwhile.
func (i *interest) confirmed(ctx context.Context, topics []*topic) []error {
	errs := make([]error, len(topics))
	for pause := (backoff.Backoff{}); ; {
		for n, t := range topics {
			if errs[n] == nil {
				errs[n] = i.await(ctx, t)
			}
		}
		asked := without(topics, errs)
		if len(asked) == 0 {
			return errs
		}
		err := i.current().Add(ctx, names(asked)...)
		switch {
		case err == nil:
			return errs
		case i.ctx.Err() != nil:
			return refuse(errs, ErrDraining)
		case errors.Is(err, broker.ErrDenied) && len(asked) > 1:
			return i.confirmedEach(ctx, topics, errs)
		case errors.Is(err, broker.ErrDenied), !pause.Wait(ctx):
			return refuse(errs, fmt.Errorf("%w: %w", ErrNotConfirmed, err))
		}
	}
}

// confirmedEach is confirmed for each of topics that has no error yet: the broker
// denies one of them.
func (i *interest) confirmedEach(ctx context.Context, topics []*topic, errs []error) []error {
	for n := range topics {
		if errs[n] == nil {
			errs[n] = i.confirmed(ctx, topics[n:n+1])[0]
		}
	}
	return errs
}

// without returns those of topics that have no error.
func without(topics []*topic, errs []error) []*topic {
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return topics
	}
	var left []*topic
	for i, t := range topics {
		if errs[i] == nil {
			left = append(left, t)
		}
	}
	return left
}

// refuse gives err to those that have none.
func refuse(errs []error, err error) []error {
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
	}
	return errs
}

// await returns when the broker has confirmed t, or with the reason why it does not.
func (i *interest) await(ctx context.Context, t *topic) error {
	i.mu.RLock()
	confirmed := t.confirmed
	i.mu.RUnlock()
	select {
	case <-confirmed.done:
		if confirmed.err != nil {
			return fmt.Errorf("%w: %w", ErrNotConfirmed, confirmed.err)
		}
		return nil
	case <-i.ctx.Done():
		return ErrDraining
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
	}
}

// current returns the feed that carries the topics.
func (i *interest) current() broker.Feed {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.feed
}
