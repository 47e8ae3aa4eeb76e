//go:build unix

package server

import "syscall"

// acceptLimit returns how many connections, of listeners and others, leave enough
// descriptors for the broker and files.
func acceptLimit() int { return connectionLimit() + reserve/2 }

// connectionLimit returns how many clients fit into the process's limit of
// descriptors.
func connectionLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return max(1, int(l.Cur)-reserve)
}
