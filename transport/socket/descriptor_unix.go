//go:build unix

package socket

import (
	"errors"
	"syscall"
)

// awaitInput waits until there is something to read, or the end of it.
func awaitInput(c syscall.RawConn) error { return c.Read(hasInput) }

// hasInput looks without taking. All but "nothing yet" is for the read that
// follows to find.
func hasInput(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK)
		if err != syscall.EINTR {
			return err != syscall.EAGAIN
		}
	}
}

const canWriteDirectly = true

// A Writer is what one goroutine needs to write to descriptors without
// allocating. The zero value is ready; it is not for concurrent use.
type Writer struct {
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
