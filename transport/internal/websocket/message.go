package websocket

import (
	"compress/flate"
	"errors"
	"io"
	"sync"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"
)

// A Message is one that a client sends, to be read to its end.
type Message struct {
	from    io.Reader
	IsText  bool
	longest int64
}

var buffers = sync.Pool{New: func() any { return new([4096]byte) }}

// Discard reads the message and throws it away. It checks what gorilla leaves to us: that
// text is UTF-8, and that a compressed message is not too long either.
func (m Message) Discard() error {
	buf := buffers.Get().(*[4096]byte)
	defer buffers.Put(buf)
	kept, left := 0, m.longest // bytes of a character that the last read cut in two
	for {
		n, err := m.from.Read(buf[kept:])
		if left -= int64(n); left < 0 {
			return errTooBig
		}
		if m.IsText {
			var ok bool
			if kept, ok = checkUTF8(buf[:kept+n], err != nil); !ok {
				return errNotUTF8
			}
		}
		if err != nil {
			return ended(err)
		}
	}
}

// ReadAll appends the message to buf, checked as Discard does. Where buf is full it calls grow with
// how many more bytes it wants to take up; where that returns false, the rest of the message is thrown
// away, and whole is false.
func (m Message) ReadAll(buf []byte, grow func(more int) bool) (text []byte, whole bool, err error) {
	for {
		if len(buf) == cap(buf) {
			more := max(len(buf), minGrowth)
			if !grow(more) {
				m.longest -= int64(len(buf))
				m.IsText = false // what it begins with may be cut within a character
				return buf, false, m.Discard()
			}
			buf = append(make([]byte, 0, len(buf)+more), buf...)
		}
		n, err := m.from.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > m.longest:
			return buf, false, errTooBig
		case err == nil:
			continue
		}
		err = ended(err)
		if err == nil && m.IsText && !utf8.Valid(buf) {
			err = errNotUTF8
		}
		return buf, true, err
	}
}

// What messages may have a second, and at once, beyond what came over the wire, in longest messages: a thousand bytes
// may come as one, and cost as much to inflate and to read as if they had been sent.
const (
	inflatedRate  = 8
	inflatedBurst = 32
)

// An inflating is a message that may be compressed, and counts what it becomes.
type inflating struct {
	io.Reader
	wire *wire
}

// Read implements io.Reader.
func (i *inflating) Read(p []byte) (int, error) {
	n, err := i.Reader.Read(p)
	if !i.wire.inflated.Spend(n, time.Now()) {
		return 0, errFlood
	}
	return n, err
}

// minGrowth is how many bytes ReadAll wants at least where its buffer is full.
const minGrowth = 512

// ended returns what the end of a message by err means, nil where it is complete.
func ended(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &corrupt), err == io.ErrUnexpectedEOF:
		return errNotDeflate
	}
	return limited(err)
}

// limited returns err, and what tells the client where a message is too long: gorilla itself says nothing
// where the sum of the lengths of its frames overflows.
func limited(err error) error {
	if errors.Is(err, gorilla.ErrReadLimit) {
		return errTooBig
	}
	return err
}

// checkUTF8 reports whether p is valid so far. Where p ends within a character,
// and more is to come, it moves that to the front and returns its length.
func checkUTF8(p []byte, last bool) (kept int, ok bool) {
	for i := 0; i < len(p); {
		if p[i] < utf8.RuneSelf {
			i++
			continue
		}
		c, size := utf8.DecodeRune(p[i:])
		if c == utf8.RuneError && size == 1 {
			if last || utf8.FullRune(p[i:]) {
				return 0, false
			}
			return copy(p, p[i:]), true
		}
		i += size
	}
	return 0, true
}
