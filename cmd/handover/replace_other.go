//go:build !unix

package handover

import (
	"context"
	"errors"
	"net"
	"os"
)

const readyLine = "ready\n"

// Signals returns a channel on which nothing comes: there is no such signal here.
func Signals() (wishes <-chan os.Signal, stop func()) { return nil, func() {} }

// Replace is not supported: sockets cannot be passed on here.
func (l *Listeners) Replace(context.Context) (pid int, err error) { return 0, errors.ErrUnsupported }

func adopt(uintptr) (net.Listener, error) { return nil, errors.ErrUnsupported }

func pipe(string) (*os.File, error) { return nil, errors.ErrUnsupported }
