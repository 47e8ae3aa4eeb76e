package websocket

import (
	"compress/flate"
	"errors"
	"io"
	"sync"
	"unicode/utf8"
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

// ended returns what the end of a message by err means, nil where it is complete.
func ended(err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &corrupt), err == io.ErrUnexpectedEOF:
		return errNotDeflate
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
