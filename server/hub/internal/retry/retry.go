// Package retry is how the hub and what is below it try again what has failed.
package retry

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/pregon/pregon/broker"
)

// ConcernsAll reports whether an error of a call for many channels says nothing about single
// ones: then all of them are tried again, and otherwise each half, to find the one that is
// refused.
func ConcernsAll(err error) bool {
	return errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrClosed) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// The first pause and the longest one.
const (
	Min = 50 * time.Millisecond
	Max = 500 * time.Millisecond
)

// A Backoff is the pause between attempts, which doubles from Min to Max. The zero value
// begins with Min. One goroutine uses it.
type Backoff struct{ pause time.Duration }

// Next returns how long to pause now: at random between a half and the whole of the pause, so
// that what failed together is not tried again together.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, Min), Max)
	return Jitter(b.pause)
}

// Wait pauses, and reports whether ctx is still there.
func (b *Backoff) Wait(ctx context.Context) bool { return Sleep(ctx, b.Next()) }

// Reset makes the next pause the first again.
func (b *Backoff) Reset() { b.pause = 0 }

// Jitter returns at random between a half and the whole of d.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Sleep pauses for d, and reports whether ctx is still there.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
