//go:build unix && !linux

package socket

import (
	"errors"
	"syscall"
)

// A Writer is what one goroutine needs to write to descriptors without
// allocating. The zero value is ready; it is not for concurrent use.
type Writer struct {
	sealed []byte // what is sent over TLS

	buf []byte
	n   int
	err error
	try func(fd uintptr) bool // w.tryOnce, made once
}

// write writes once and returns how many bytes the kernel took: none where its
// buffer is full.
func (w *Writer) write(c syscall.RawConn, p []byte) (int, error) {
	if w.try == nil {
		w.try = w.tryOnce
	}
	w.buf = p
	err := c.Write(w.try)
	w.buf = nil
	if err != nil {
		return 0, err
	}
	return w.n, w.err
}

func (w *Writer) tryOnce(fd uintptr) bool {
	for {
		w.n, w.err = syscall.Write(int(fd), w.buf)
		if !errors.Is(w.err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(w.err, syscall.EAGAIN) {
		w.err = nil
	}
	w.n = max(w.n, 0)
	return true // also where the kernel took nothing: we do not wait
}

// unacknowledged is not known: only a write that is done shows that something was taken.
func unacknowledged(syscall.RawConn) int { return 0 }
