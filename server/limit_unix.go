//go:build unix

package server

import "syscall"

// reserve is how many descriptors are kept for the broker, files and answers.
const reserve = 64

// connectionLimit returns how many clients fit into the process's limit of
// descriptors.
func connectionLimit() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || l.Cur > 1<<20 {
		return 1 << 20
	}
	return max(1, int(l.Cur)-reserve)
}
