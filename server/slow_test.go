package server_test

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
)

// Clients that never read are disconnected, harm nobody, and do not fill the
// memory.
func TestClientsThatNeverRead(t *testing.T) {
	const readers, sleepers, messages, size = 400, 100, 96, 64 << 10
	n := start(t, server.Options{QueueBytes: 1 << 20})
	for range sleepers {
		c, _ := n.rawWS("/ws/c")
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
	}
	conns := make([]*websocket.Conn, readers)
	for i := range conns {
		conns[i] = n.ws("/ws/c?format=raw")
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	text := strings.Repeat("x", size)
	for range messages { // in steps, so that those who do read are never behind
		n.publish("c", text)
		var wg sync.WaitGroup
		for _, c := range conns {
			wg.Go(func() {
				if got, err := readErr(c); err != nil || len(got) != size {
					t.Errorf("a reader got %d bytes, %v", len(got), err)
				}
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	// Slow clients of one channel wait for the same bytes: one queue's worth.
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}
