// Package pause waits: for a time that a context may cut short, and between attempts to
// reach what is down.
//
// A [Backoff] belongs to one goroutine. Nothing here starts any.
package pause

import (
	"context"
	"math/rand/v2"
	"time"
)

// Bounds of the pause between attempts: short, so that messages flow again within a
// second of Redis being back.
const (
	Min = 50 * time.Millisecond
	Max = 500 * time.Millisecond
)

// Sleep waits for d and reports whether ctx is still good then.
func Sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// A Backoff is the pauses between attempts: each a random time from [Min] to a ceiling
// that doubles up to [Max], so that nodes that lost one Redis do not return in step. The
// zero value is ready to use.
type Backoff struct{ ceiling time.Duration }

// Next returns the next pause.
func (b *Backoff) Next() time.Duration {
	b.ceiling = min(max(2*b.ceiling, 2*Min), Max)
	return Min + rand.N(b.ceiling-Min)
}

// Served notes that an attempt succeeded, and that what it made lasted for d. It starts
// over, unless that was so short that it was no success.
func (b *Backoff) Served(d time.Duration) {
	if d > Max {
		b.ceiling = 0
	}
}
