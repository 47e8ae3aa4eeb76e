package hub

import (
	"context"
	"time"

	"github.com/pregon/pregon/transport"
)

// A Caller is on whose behalf a session is in the hub: it has a say in what that hears, and
// for how long. Package node implements it. Its methods are called concurrently; but for
// Enter they must not wait.
type Caller interface {
	// Enter is asked before the session subscribes a channel, and an error refuses that. For
	// each time that it returned nil Left is called, once, when that stay is over.
	Enter(ctx context.Context, sub transport.Subscription) error
	Left(channel string)

	// Begin is told when the client has been answered that it hears a channel, for which Enter
	// returned nil. What it returns, which may be nil, is called once when the stay is over,
	// ahead of Left: see Tell.
	Begin(sub transport.Subscription, tell Tell) (end func(how Ending))

	// Review is asked what Enter was, of a channel that was let in before: when it was
	// subscribed, as that takes time, and in each Hub.Review.
	Review(channel string) error

	// IsKnown reports whether the session may be there at all. It is asked in each Hub.Review.
	IsKnown() bool

	// Ends returns when the session is to end, zero for never. It is asked once, and again
	// when the session is told that the caller was Renewed.
	Ends() time.Time

	// Gone is told once, when the session has left.
	Gone()
}

// A Tell sends to the client of one stay in a channel what is no message, in its own encoding,
// behind the answer to its subscription and never behind its end. It stands in no order with
// messages. A client that reads too slowly for it is closed. It does not wait, and may be called
// concurrently, and when the stay is over: then nothing is sent.
type Tell func(encode func(transport.Encoding) []byte)

// An Ending is how a stay in a channel ends.
type Ending int

const (
	// Unsubscribed: the client does not want the channel any more, or may not hear it.
	Unsubscribed Ending = iota
	// Lost: the connection has ended. Its client may come back.
	Lost
)

// anyone is a Caller who may hear everything, for ever.
type anyone struct{}

func (anyone) Enter(context.Context, transport.Subscription) error { return nil }
func (anyone) Begin(transport.Subscription, Tell) func(Ending)     { return nil }
func (anyone) Left(string)                                         {}
func (anyone) Review(string) error                                 { return nil }
func (anyone) IsKnown() bool                                       { return true }
func (anyone) Ends() time.Time                                     { return time.Time{} }
func (anyone) Gone()                                               {}
