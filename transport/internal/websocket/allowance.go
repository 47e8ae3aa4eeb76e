package websocket

import "time"

// An Allowance is a token bucket: it grows by rate a second, up to burst. It is not for
// concurrent use.
type Allowance struct {
	rate, burst float64
	left        float64
	since       time.Time
}

// NewAllowance returns a full Allowance.
func NewAllowance(rate, burst float64) Allowance {
	return Allowance{rate: rate, burst: burst, left: burst}
}

// Spend takes n out and reports whether there was enough.
func (a *Allowance) Spend(n int, now time.Time) bool {
	if !a.since.IsZero() {
		a.left = min(a.burst, a.left+a.rate*now.Sub(a.since).Seconds())
	}
	a.since = now
	a.left -= float64(n)
	return a.left >= 0
}

// Refund gives back n that were taken out.
func (a *Allowance) Refund(n int) { a.left = min(a.burst, a.left+float64(n)) }
