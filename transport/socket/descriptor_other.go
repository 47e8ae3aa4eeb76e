//go:build !unix

package socket

import "syscall"

// Without non-blocking descriptors every Socket takes the queued path.
const canWriteDirectly = false

func awaitInput(syscall.RawConn) error { return nil }

// A Writer is what one goroutine needs to write. The zero value is ready.
type Writer struct{ sealed []byte }

func (w *Writer) write(syscall.RawConn, []byte) (int, error) { return 0, syscall.ENOTSUP }

func unacknowledged(syscall.RawConn) int { return 0 }
