package bench

import "syscall"

// childAttr keeps Ctrl-C, which is for this program, from the server, and has the
// kernel end the server where this program ends without doing so.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
