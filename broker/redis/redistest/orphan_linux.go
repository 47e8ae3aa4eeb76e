package redistest

import "syscall"

// orphanAttr has the kernel kill a server whose test program ended without its
// cleanup, as by a panic or a timeout.
func orphanAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
