package bench

import (
	"syscall"
	"time"
)

// nap sleeps on a thread of its own, for a short time: to some 50 microseconds,
// where the runtime's timers keep to whole milliseconds.
func nap(d time.Duration) {
	left := syscall.NsecToTimespec(d.Nanoseconds())
	for syscall.Nanosleep(&left, &left) == syscall.EINTR {
	}
}
