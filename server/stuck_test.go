package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
)

// A client that does not read and still sends pings, while one message of more
// than its queue waits, is no reason to forget its connection: it goes on when
// the client reads, and ends when it does not.
func TestPingsBehindFullQueue(t *testing.T) {
	n := start(t, server.Options{QueueBytes: 1 << 10, MaxMessage: 8 << 20, WriteTimeout: time.Minute})
	c := n.ws("/ws/c?format=raw")
	text := strings.Repeat("x", 8<<20) // more than the kernel's buffers take
	n.publish("c", text)
	for range 3 {
		if err := c.WriteControl(websocket.PingMessage, nil, time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, c); got != text {
		t.Errorf("%d bytes arrived", len(got))
	}
	n.publish("c", "next")
	if got := read(t, c); got != "next" {
		t.Error(got)
	}
}

// Stopping ends, though clients neither read nor close.
func TestStopBesideDeadClients(t *testing.T) {
	n := start(t, server.Options{QueueBytes: 1 << 10, MaxMessage: 8 << 20, WriteTimeout: 20 * time.Millisecond})
	for range 10 {
		n.rawWS("/ws/c")
		n.rawWS("/ws/d")
	}
	n.publish("c", strings.Repeat("x", 8<<20))
	n.stop()
}
