//go:build unix

package cmd

import (
	"os/signal"
	"syscall"
)

// readInBackground has a shell not stop a background job that reads its terminal: the read fails instead.
func readInBackground() { signal.Ignore(syscall.SIGTTIN) }
