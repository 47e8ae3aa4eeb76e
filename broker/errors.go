package broker

import (
	"errors"
	"fmt"
)

// Errors that drivers wrap, as in
//
//	redis: publish "chat": connection refused: broker: unavailable
//
// and that callers tell apart with [errors.Is].
var (
	// ErrClosed is returned by every method of a closed Broker or Feed.
	ErrClosed = errors.New("broker: closed")

	// ErrUnavailable means that the backend could not be reached or cannot work
	// now (starting, out of memory, read-only): try again later. Nothing was
	// done.
	ErrUnavailable = errors.New("broker: unavailable")

	// ErrDenied means that the backend was reached and refuses: wrong password,
	// missing permission for this channel or for everything, not the kind of
	// server that was expected. Nothing was done, and trying again will not
	// help until its configuration is changed.
	ErrDenied = errors.New("broker: denied")

	// ErrTooLarge means that a message is longer than the backend takes, in this
	// channel or at all. It was not published, and trying again will not help.
	// A driver whose backend has such a limit wraps it.
	ErrTooLarge = errors.New("broker: message too large")

	// ErrUncertain means that a publication was sent and its outcome is not
	// known: the answer did not come in time or the link broke before it.
	ErrUncertain = errors.New("broker: outcome unknown")
)

// A GapReason says why messages may be missing, in the words that clients read. A
// driver may have one of its own, in lower case with hyphens; so may what stands
// between brokers and clients (see package transport).
type GapReason string

// Reasons of a GapError.
const (
	// LinkLost: the link to the backend was lost and has been restored.
	LinkLost GapReason = "link-lost"
	// Overrun: messages came faster than Next was called, and the bounded
	// queue between was full.
	Overrun GapReason = "overrun"
	// Denied: the backend does not allow the channels any more. The Feed has
	// dropped them, as by Unsubscribe; nothing of them comes until they are added again.
	Denied GapReason = "denied"
	// Cleared: the history of the channels was cleared, see Clearer. What was
	// published before and not delivered yet is gone.
	Cleared GapReason = "cleared"
)

// A GapError is returned by [Feed.Next] where messages may be missing.
// The Feed goes on after it, with Denied without those channels.
type GapError struct {
	Channels []string  // the channels concerned; the receiver may keep it
	Reason   GapReason // LinkLost, Overrun, Denied, Cleared, or a driver's own

	// Unfillable says that what is missing is in no history, so that reading one does
	// not bring it back: clients are told in any case. Without it, what is missing may
	// be in the history of a channel that has one.
	Unfillable bool
}

// Error implements error. It counts the channels and does not name them.
func (e *GapError) Error() string {
	return fmt.Sprintf("broker: gap on %d channels: %s", len(e.Channels), e.Reason)
}

func isGap(err error) bool {
	var gap *GapError
	return errors.As(err, &gap)
}

func isClosed(err error) bool { return errors.Is(err, ErrClosed) }
