package handover

import (
	"fmt"
	"net"
	"os"
	"strings"
)

// MainPID tells systemd that another process is the service's main one.
func MainPID(pid int) error { return Notify(fmt.Sprintf("MAINPID=%d", pid)) }

// Notify tells systemd, or another manager that has set NOTIFY_SOCKET, the state of the process in assignments
// such as READY=1: see sd_notify(3). Where nobody has asked for it, it does nothing.
func Notify(state ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	// A name that begins with @ is an abstract one, for package net, too.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd (NOTIFY_SOCKET): %w", err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(strings.Join(state, "\n"))); err != nil {
		return fmt.Errorf("tell systemd (NOTIFY_SOCKET): %w", err)
	}
	return nil
}
