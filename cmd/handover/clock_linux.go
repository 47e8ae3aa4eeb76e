package handover

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Reloading returns the assignments that say that the process reads its configuration again, which
// READY=1 ends. systemd wants to know when that began.
func Reloading() []string {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return nil // there is no system without that clock
	}
	return []string{"RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/1000)}
}
