//go:build !linux

package redistest

import "syscall"

// orphanAttr is for Linux only; elsewhere a test program that panics may leave a
// server behind.
func orphanAttr() *syscall.SysProcAttr { return nil }
