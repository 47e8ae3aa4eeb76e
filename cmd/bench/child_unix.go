//go:build unix && !linux

package bench

import "syscall"

// childAttr keeps Ctrl-C, which is for this program, from the server.
func childAttr() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
