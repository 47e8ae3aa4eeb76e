package hub

import (
	"context"
	"time"
)

// A Caller is on whose behalf a session is in the hub: it has a say in what that hears, and
// for how long. Package node implements it. Its methods are called concurrently; but for
// Enter they must not wait.
type Caller interface {
	// Enter is asked before the session subscribes a channel, and an error refuses that. For
	// each time that it returned nil Left is called, once, when that stay is over.
	Enter(ctx context.Context, channel string) error
	Left(channel string)

	// Review is asked what Enter was, of a channel that was let in before: when it was
	// subscribed, as that takes time, and in each Hub.Review.
	Review(channel string) error

	// IsKnown reports whether the session may be there at all. It is asked in each Hub.Review.
	IsKnown() bool

	// Ends returns when the session is to end, zero for never. It is asked once.
	Ends() time.Time

	// Gone is told once, when the session has left.
	Gone()
}

// anyone is a Caller who may hear everything, for ever.
type anyone struct{}

func (anyone) Enter(context.Context, string) error { return nil }
func (anyone) Left(string)                         {}
func (anyone) Review(string) error                 { return nil }
func (anyone) IsKnown() bool                       { return true }
func (anyone) Ends() time.Time                     { return time.Time{} }
func (anyone) Gone()                               {}
