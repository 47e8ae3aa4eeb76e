package broker

import "context"

// A Prober is a Historian that can try out whether it would keep a message. It is an
// optional capability, found by a type assertion on what [HistoryOf] returns.
type Prober interface {
	// Probe publishes m to those who listen, and does all that Publish does to keep a
	// message, but leaves nothing of m in the history of its channel. So it fails where
	// Publish would, as where the backend is full or read-only, and Feeds deliver m where
	// they deliver at all. Its channel is the node's own: the name begins with
	// ReservedPrefix. A Key has no effect. Where no history is kept Probe returns
	// errors.ErrUnsupported.
	//
	// The Epoch of the Receipt's Position, which m is delivered with, changes whenever the
	// backend may have lost the end of any history. The number means nothing.
	Probe(ctx context.Context, m Message) (Receipt, error)
}
