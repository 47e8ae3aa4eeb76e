package bench

import (
	"errors"
	"io"
)

// maxEvent is the longest message in bytes that a subscriber takes.
const maxEvent = 64 << 20

var errTooLong = errors.New("the server sent a message of more than 64 MiB")

// An eventKind says what a protocol has brought.
type eventKind int

const (
	nothing eventKind = iota // what needs no answer
	message
	gap        // the server says that messages may be missing here
	ping       // to be answered with its data
	goodBye    // the last event; its data says why
	welcome    // the server is ready for commands
	subscribed // what is published from now on is heard
	published  // the answer to a publish command
	failed     // the server says what was not done, or is over
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

// A stream's buffer begins small, as most of many connections are idle most of
// the time, and grows where there is more to read.
const (
	minBuffer = 4 << 10
	maxBuffer = 64 << 10
)

// A stream is the events that a connection brings. It is for one goroutine.
type stream struct {
	in         io.Reader
	decoder    decoder
	buf        []byte
	start, end int // of what was read and is not decoded
}

// fill reads once. What it has read may be there beside an error.
func (s *stream) fill() error {
	full := s.end == len(s.buf)
	s.end = copy(s.buf, s.buf[s.start:s.end])
	s.start = 0
	if full && (len(s.buf) < maxBuffer || s.end == len(s.buf)) {
		s.buf = append(s.buf, make([]byte, max(minBuffer, len(s.buf)))...)
	}
	n, err := s.in.Read(s.buf[s.end:])
	s.end += n
	return err
}

// next returns the next event, or false where fill has to be called first.
func (s *stream) next() (e event, ok bool, err error) {
	e, n, err := s.decoder.next(s.buf[s.start:s.end])
	s.start += n
	return e, n > 0 && err == nil, err
}
