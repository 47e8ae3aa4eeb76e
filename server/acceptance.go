package server

import (
	"errors"
	"log/slog"
	"net"
	"time"
)

// An acceptance is a listener that tells the log where it cannot accept, which is for want of descriptors, as a
// rule. http.Server tries again by itself, up to a second later. It belongs to the goroutine that accepts.
type acceptance struct {
	net.Listener
	log  *slog.Logger
	told time.Time // when it was logged last
}

// Accept implements net.Listener.
func (a *acceptance) Accept() (net.Conn, error) {
	conn, err := a.Listener.Accept()
	if err == nil || errors.Is(err, net.ErrClosed) {
		return conn, err
	}
	if now := time.Now(); now.Sub(a.told) > tellAgain {
		a.told = now
		a.log.Warn("server: connections cannot be accepted and wait; trying on", "error", err)
	}
	return nil, err
}
