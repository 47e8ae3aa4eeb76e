package limit

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
)

// ErrTooFast means that somebody publishes faster than it may. Nothing was done.
var ErrTooFast = errors.New("limit: too fast")

// A TooFastError matches ErrTooFast, and says when to try again.
type TooFastError struct {
	RetryAfter time.Duration // zero where it never helps: it is too much at once
}

func (e *TooFastError) Error() string {
	if e.RetryAfter == 0 {
		return ErrTooFast.Error() + ": more at once than may ever be"
	}
	return fmt.Sprintf("%v: try again in %v", ErrTooFast, e.RetryAfter.Round(time.Millisecond))
}

// Is makes errors.Is find ErrTooFast, and what it means for a publication: as with a broker
// that cannot be used now, or that refuses.
func (e *TooFastError) Is(target error) bool {
	outcome := broker.ErrUnavailable
	if e.RetryAfter == 0 {
		outcome = broker.ErrDenied
	}
	return target == ErrTooFast || target == outcome
}

// A Caller is whom a bucket is for: by name, or by network where it has none.
type Caller struct {
	Name    string
	Network Prefix
}

// A Bucket is what a publication takes from: Rate allows that many.
type Bucket struct {
	Of   Caller
	For  string // a rule or a key with a rate of its own; empty for all that the caller does
	Rate access.Rate
}

type bucketKey struct {
	of  Caller
	use string
}

// generation is how many buckets Rates has at most before it forgets those that have not
// been used for as many others.
const generation = 50_000

// Rates are buckets of tokens (golang.org/x/time/rate): a bucket holds as many as its Rate
// has events, is full at first, and is refilled evenly. Its zero value is ready for use.
//
// Memory is bounded: of 50,000 buckets and more, those are forgotten, and so are full again,
// that were not used since as many others were. A caller gains by that only what 50,000
// callers have anyway.
type Rates struct {
	mu             sync.Mutex
	recent, before map[bucketKey]*rate.Limiter
}

// Take takes n tokens from each of buckets, or none from any and returns a *TooFastError: one
// without RetryAfter where a bucket holds fewer than n even when it is full.
func (r *Rates) Take(n int, buckets ...Bucket) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	var wait time.Duration
	for _, b := range buckets {
		if n > b.Rate.Events {
			return &TooFastError{}
		}
		wait = max(wait, missing(r.limiter(b), n, now))
	}
	if wait > 0 {
		return &TooFastError{wait}
	}
	for _, b := range buckets {
		r.limiter(b).ReserveN(now, n) // they are there
	}
	return nil
}

// missing returns how long it takes until a bucket holds n, which it can.
func missing(l *rate.Limiter, n int, now time.Time) time.Duration {
	if short := float64(n) - l.TokensAt(now); short > 0 {
		return max(time.Duration(short/float64(l.Limit())*float64(time.Second)), time.Millisecond)
	}
	return 0
}

// limiter returns the bucket of b, a full one where it is not known. The caller holds the
// lock.
func (r *Rates) limiter(b Bucket) *rate.Limiter {
	key := bucketKey{b.Of, b.For}
	if l, ok := r.recent[key]; ok {
		return adjusted(l, b.Rate)
	}
	l, ok := r.before[key]
	if !ok {
		l = rate.NewLimiter(perSecond(b.Rate), b.Rate.Events)
	}
	if len(r.recent) >= generation {
		r.before, r.recent = r.recent, nil
	}
	if r.recent == nil {
		r.recent = map[bucketKey]*rate.Limiter{}
	}
	r.recent[key] = l
	return adjusted(l, b.Rate)
}

// adjusted gives l the rate that counts now: it may have been reloaded.
func adjusted(l *rate.Limiter, r access.Rate) *rate.Limiter {
	if limit := perSecond(r); l.Limit() != limit || l.Burst() != r.Events {
		l.SetLimit(limit)
		l.SetBurst(r.Events)
	}
	return l
}

func perSecond(r access.Rate) rate.Limit { return rate.Limit(float64(r.Events) / r.Per.Seconds()) }
