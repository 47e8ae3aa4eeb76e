//go:build !unix

package bench

import "syscall"

func childAttr() *syscall.SysProcAttr { return nil }
