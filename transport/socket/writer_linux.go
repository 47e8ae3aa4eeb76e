package socket

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Writer is what one goroutine needs to write to descriptors without
// allocating. The zero value is ready; it is not for concurrent use.
type Writer struct {
	sealed []byte // what is sent over TLS

	buf []byte
	n   int
	err error
	try func(fd uintptr) // w.tryOnce, made once
}

// write writes once and returns how many bytes the kernel took: none where its
// buffer is full.
//
// It goes by RawConn.Control, not RawConn.Write, which would take a lock that other
// writers respect and tell the poller to get ready: the Socket's own lock keeps others
// out, and nobody waits. What Control still does is to count the use of the descriptor
// while it lasts, for 40 ns or so. That makes this safe whoever closes the connection,
// and whenever: the number stays this connection's until the call is over, and afterwards
// Control fails. Without it a close that does not go through the Socket, as by a hook
// of an embedder's http.Server, could give the number to another client in between.
func (w *Writer) write(c syscall.RawConn, p []byte) (int, error) {
	if w.try == nil {
		w.try = w.tryOnce
	}
	w.buf = p
	err := c.Control(w.try)
	w.buf = nil
	if err != nil {
		return 0, err
	}
	return w.n, w.err
}

// tryOnce is send(2), which costs the kernel less than write(2). Package unix has
// no function that returns how much was sent.
func (w *Writer) tryOnce(fd uintptr) {
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(unsafe.SliceData(w.buf))),
			uintptr(len(w.buf)), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
		switch errno {
		case 0:
			w.n, w.err = int(n), nil
		case syscall.EINTR:
			continue
		case syscall.EAGAIN: // also where the kernel took nothing: we do not wait
			w.n, w.err = 0, nil
		default:
			w.n, w.err = 0, errno
		}
		return
	}
}

// unacknowledged returns how many bytes the kernel holds that the peer has not taken.
func unacknowledged(c syscall.RawConn) (n int) {
	_ = c.Control(func(fd uintptr) { // a closed connection has nothing
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
	})
	return n
}
