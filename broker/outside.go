package broker

import "context"

// A Marker is a Historian on whose channels other programs publish, too, without a
// place in the history: such messages have no Position and are not kept. It is an
// optional capability, found by a type assertion.
//
// A mark says that there was one, so that nobody who may have missed it is taken to
// have missed nothing.
type Marker interface {
	// Mark notes of each channel that a message without a position was heard, or
	// may have been missed, behind the newest that is kept now. A channel of which
	// nothing is kept has no mark, and needs none: nobody can continue in it.
	Mark(ctx context.Context, channels ...string) error

	// Marks returns where the newest mark of each channel is, in the order of
	// channels: behind that position, and before the next. It is zero where there
	// is none. A mark is kept for as long as the history of its channel. Any
	// number of channels costs about one round trip.
	Marks(ctx context.Context, channels ...string) ([]Position, error)
}

// A Verifier is a Broker that checks whether what its backend delivers is what a node
// has published. It is an optional capability, found by a type assertion.
type Verifier interface {
	// Rejected returns how many messages were ignored since the Broker was opened,
	// because they claim a position and cannot prove it.
	Rejected() uint64
}

// A Scripter is a Historian whose backend lets other programs publish with all
// guarantees, by running a script of ours there. It is an optional capability, found
// by a type assertion.
type Scripter interface {
	PublishScript() string   // for a client that sends the text each time
	PublishFunction() string // for a client that has the backend keep it
}
