package server

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall lacks.
const tcpUserTimeout = 0x12

// unacknowledged is how long sent bytes may stay without an answer, in
// milliseconds.
const unacknowledged = 60_000

// limitUnacknowledged sets the limit for all connections of a listener, which
// inherit it.
func limitUnacknowledged(_, _ string, c syscall.RawConn) error {
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, unacknowledged)
	})
	if err != nil {
		return err
	}
	return failed
}
