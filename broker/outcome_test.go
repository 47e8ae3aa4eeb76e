package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/pregon/pregon/broker"
)

// Only what a driver says for certain counts as not published.
func TestOutcomeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, "published"},
		{broker.ErrUnavailable, "not_published"}, {broker.ErrDenied, "not_published"}, {broker.ErrTooLarge, "not_published"},
		{broker.ErrKey, "not_published"}, {broker.ErrClosed, "not_published"},
		{broker.ErrUncertain, "unknown"}, {context.DeadlineExceeded, "unknown"}, {errors.New("else"), "unknown"},
		{fmt.Errorf("%w: %w", broker.ErrUnavailable, context.DeadlineExceeded), "not_published"},
		{fmt.Errorf("%w: %w", broker.ErrUnavailable, broker.ErrUncertain), "unknown"},
	} {
		if got := broker.OutcomeOf(c.err).String(); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}
