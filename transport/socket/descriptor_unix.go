//go:build unix

package socket

import "syscall"

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
