package server_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
)

// With the smallest sensible queue the newest message is what a slow client gets.
func TestFoundNewestStays(t *testing.T) {
	n := start(t, server.Options{QueueBytes: 64 << 10, DropOldest: true, WriteTimeout: time.Hour})
	slow, pace := n.ws("/ws/c?format=json"), n.ws("/ws/c?format=raw")
	filling := strings.Repeat("x", 60_000)
	for range 256 { // 15 MiB are more than the kernel's buffers take
		n.publish("c", filling)
		read(t, pace)
	}
	n.publish("c", "the newest"+filling[:50_000])
	for !strings.Contains(read(t, slow), "the newest") {
	}
}

// A client that takes nothing at all is disconnected and counted, whatever becomes of
// slow ones.
func TestFoundStalledClientsAreCounted(t *testing.T) {
	n := start(t, server.Options{MaxMessage: 16 << 20, WriteTimeout: 200 * time.Millisecond})
	for _, path := range []string{"/ws/c", "/ws/d"} {
		c, _ := n.rawWS(path)
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	n.publish("c", strings.Repeat("x", 16<<20))
	deadline := time.Now().Add(patience)
	for {
		figures := n.server.Stats()
		if figures.Disconnected == 1 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not counted: %+v", figures)
		}
	}
}
