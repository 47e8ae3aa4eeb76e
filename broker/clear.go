package broker

import "context"

// A Clearer is a Historian that can forget what it keeps of a channel. It is an
// optional capability, found by a type assertion on what [HistoryOf] returns. Where no
// history is kept, Clear returns errors.ErrUnsupported.
type Clearer interface {
	// Clear forgets all that is kept of a channel for good: messages, the keys that
	// they were published with, and the mark. The next message begins a new epoch, so
	// behind a position from before nothing is Complete, and each reader learns in the
	// end that it may have missed something. A Feed that carries the channel and learns
	// of it at once reports a gap of reason Cleared.
	//
	// Clearing a channel of which nothing is kept is no error, and changes nothing. A
	// message that is published meanwhile is kept or forgotten, and clearing cuts no
	// subscription. After an error the history may have been cleared or not: clearing
	// again is safe.
	Clear(ctx context.Context, channel string) error
}
