package wire

import (
	"bytes"
	"strconv"

	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Limits of what a server may send. Redis' own limit of a bulk string is 512 MiB.
const (
	maxBulk  = 512 << 20 // bytes
	maxArray = 1 << 16   // elements
	maxDepth = 16        // arrays within arrays
	maxLine  = 64 << 10  // bytes
)

// frames follows the framing of a RESP2 stream and refuses what would make
// go-redis allocate or recurse without bound: it believes every length that a
// peer announces. The zero value stands at the beginning of a stream.
type frames struct {
	line  []byte // of a header, what has come so far
	skip  int    // bytes of a bulk string that are to come, its CRLF included
	outer []int  // elements to come of the arrays that are open, outermost first
}

// check takes the next bytes of the stream. After an error the stream is useless.
func (f *frames) check(p []byte) error {
	for len(p) > 0 {
		if f.skip > 0 {
			n := min(f.skip, len(p))
			f.skip -= n
			p = p[n:]
			continue
		}
		if len(f.line) == 0 && bytes.IndexByte([]byte("+-:$*"), p[0]) < 0 {
			return reply.ErrNotRedis
		}
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			end = len(p) - 1
		}
		f.line = append(f.line, p[:end+1]...)
		p = p[end+1:]
		if err := f.header(); err != nil {
			return err
		}
	}
	return nil
}

// header acts on f.line once it is complete.
func (f *frames) header() error {
	body, complete := bytes.CutSuffix(f.line, []byte("\r\n"))
	switch {
	case len(f.line) > maxLine, !complete && bytes.HasSuffix(f.line, []byte("\n")):
		return reply.ErrNotRedis
	case !complete:
		return nil
	}
	f.line = f.line[:0]
	switch body[0] {
	case '$':
		n, err := length(body, maxBulk)
		if err != nil {
			return err
		}
		if n >= 0 {
			f.skip = n + len("\r\n")
		}
	case '*':
		n, err := length(body, maxArray)
		if err != nil {
			return err
		}
		if n > 0 {
			return f.open(n)
		}
	}
	f.element()
	return nil
}

func (f *frames) open(n int) error {
	if len(f.outer) == maxDepth {
		return reply.ErrNotRedis
	}
	f.outer = append(f.outer, n)
	return nil
}

// element counts one that is complete, and the arrays that it completes.
func (f *frames) element() {
	for n := len(f.outer); n > 0; n-- {
		f.outer[n-1]--
		if f.outer[n-1] > 0 {
			return
		}
		f.outer = f.outer[:n-1]
	}
}

// length is the number in a header; -1 is Redis' nil.
func length(header []byte, limit int) (int, error) {
	n, err := strconv.Atoi(string(header[1:]))
	if err != nil || n < -1 || n > limit {
		return 0, reply.ErrNotRedis
	}
	return n, nil
}
