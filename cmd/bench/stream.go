package bench

import "errors"

// maxEvent is the longest message in bytes that a subscriber takes.
const maxEvent = 64 << 20

var errTooLong = errors.New("the server sent a message of more than 64 MiB")

// An eventKind says what a protocol has brought.
type eventKind int

const (
	nothing eventKind = iota // what needs no answer
	message
	gap     // the server says that messages may be missing here
	ping    // to be answered with its data
	goodBye // the last event; its data says why
)

// An event is one thing that the server has sent. Its data is valid until the
// next call of the decoder or until the buffer changes.
type event struct {
	kind eventKind
	data []byte
}

// A decoder cuts the byte stream of a protocol into events.
type decoder interface {
	// next returns the first event in b and how many bytes it takes up, or 0
	// where b has to grow first. After an error the stream is of no use.
	next(b []byte) (event, int, error)
}
