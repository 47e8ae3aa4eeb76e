package broker

import "errors"

// An Outcome is what became of a publication, as far as its publisher can know.
type Outcome int

const (
	// OutcomeUnknown: it may or may not have been published. With a Key it can
	// be published again.
	OutcomeUnknown Outcome = iota
	// Published: the backend has accepted it.
	Published
	// NotPublished: no subscriber hears it. It can be published again.
	NotPublished
)

// String returns the Outcome as the HTTP API writes it.
func (o Outcome) String() string {
	switch o {
	case Published:
		return "published"
	case NotPublished:
		return "not_published"
	default:
		return "unknown"
	}
}

// OutcomeOf says what an error of [Broker.Publish], or of a [Result], means. Only
// what a driver says for certain counts: an error that matches none of the errors
// of this package, such as that of a context, leaves the outcome unknown, and so
// does one that matches ErrUncertain beside another.
func OutcomeOf(err error) Outcome {
	switch {
	case err == nil:
		return Published
	case errors.Is(err, ErrUncertain):
		return OutcomeUnknown
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed), refusedAlone(err):
		return NotPublished
	default:
		return OutcomeUnknown
	}
}

// refusedAlone reports whether a message was refused for what it is, so that
// others may be accepted.
func refusedAlone(err error) bool {
	return errors.Is(err, ErrDenied) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrKey)
}
