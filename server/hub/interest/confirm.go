package interest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

// Errors of Confirm and Await.
var (
	// ErrNotConfirmed means that the broker has not confirmed a channel in time, or refuses it.
	// It wraps what the broker last said.
	ErrNotConfirmed = errors.New("interest: the broker has not confirmed the subscription")

	// ErrClosed means that Run has ended.
	ErrClosed = errors.New("interest: closed")
)

// Confirm returns when the feed carries channels over a link that stands, or with the reason for
// each why it does not. That a channel was confirmed once is not enough: the link may have been lost
// since, and the feed be restoring it. So the feed is asked again for what it carries, which costs
// the broker nothing while the link stands. The caller has acquired the channels, so nobody
// removes them meanwhile.
func (i *Interest) Confirm(ctx context.Context, wants ...*Want) []error {
	errs := make([]error, len(wants))
	for pause := (retry.Backoff{}); ; {
		for at, w := range wants {
			if errs[at] == nil {
				errs[at] = i.Await(ctx, w)
			}
		}
		asked := without(wants, errs)
		if len(asked) == 0 {
			return errs
		}
		err := i.current().Subscribe(ctx, names(asked)...)
		switch {
		case err == nil:
			return errs
		case i.isClosed():
			return refuse(errs, ErrClosed)
		case errors.Is(err, broker.ErrDenied) && len(asked) > 1:
			return i.confirmEach(ctx, wants, errs)
		case errors.Is(err, broker.ErrDenied), !pause.Wait(ctx):
			return refuse(errs, fmt.Errorf("%w: %w", ErrNotConfirmed, err))
		}
	}
}

// confirmEach is Confirm for each of wants that has no error yet: the broker denies one of them.
func (i *Interest) confirmEach(ctx context.Context, wants []*Want, errs []error) []error {
	for at := range wants {
		if errs[at] == nil {
			errs[at] = i.Confirm(ctx, wants[at])[0]
		}
	}
	return errs
}

// without returns those of wants that have no error.
func without(wants []*Want, errs []error) []*Want {
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return wants
	}
	var left []*Want
	for at, w := range wants {
		if errs[at] == nil {
			left = append(left, w)
		}
	}
	return left
}

// refuse gives err to those that have none.
func refuse(errs []error, err error) []error {
	for at := range errs {
		if errs[at] == nil {
			errs[at] = err
		}
	}
	return errs
}

// Await returns when the broker has confirmed w, or with the reason why it does not. The link may
// have been lost since.
func (i *Interest) Await(ctx context.Context, w *Want) error {
	i.mu.Lock()
	answer := w.answer
	i.mu.Unlock()
	select {
	case <-answer.done:
		if answer.err != nil {
			return fmt.Errorf("%w: %w", ErrNotConfirmed, answer.err)
		}
		return nil
	case <-i.closed:
		return ErrClosed
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
	}
}

func (i *Interest) isClosed() bool {
	select {
	case <-i.closed:
		return true
	default:
		return false
	}
}

// current returns the feed that carries the channels.
func (i *Interest) current() broker.Feed {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.feed
}
