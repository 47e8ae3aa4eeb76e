package server_test

import (
	"errors"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
)

// Clients that never read are disconnected, harm nobody, and do not fill the
// memory.
func TestClientsThatNeverRead(t *testing.T) {
	const sleepers, messages, size = 100, 96, 64 << 10
	readers := 400
	if testing.Short() {
		readers = 100
	}
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

// With drop-oldest a client that reads slowly is told what it missed, keeps its
// connection and gets the newest; the figures say so. A format without words for
// a gap is disconnected.
func TestDropOldest(t *testing.T) {
	const last = "the newest"
	n := start(t, server.Options{QueueBytes: 256 << 10, DropOldest: true, Hosts: []string{}, WriteTimeout: time.Hour})
	slow, text := n.ws("/ws/c?format=json"), n.ws("/ws/c")
	pace := n.ws("/ws/c?format=raw")
	filling := strings.Repeat("x", 64<<10)
	for range 256 { // 16 MiB are more than the kernel's buffers take
		n.publish("c", filling)
		read(t, pace)
	}
	n.publish("c", last)
	gap := false
	for {
		got := read(t, slow)
		if strings.Contains(got, last) {
			break
		}
		gap = gap || got == `{"type":"gap","channel":"c","reason":"slow-client"}`
	}
	if !gap {
		t.Error("no gap was told")
	}
	var ce *websocket.CloseError
	for err := error(nil); ce == nil; _, err = readErr(text) {
		if err != nil && !errors.As(err, &ce) {
			t.Fatal("the text client ended with", err)
		}
	}
	if ce.Code != 4008 {
		t.Error("the text client was closed with", ce.Code)
	}
	_, figures := n.get("/metrics")
	for _, want := range []string{`(?m)^pregon_slow_clients_messages_dropped_total [1-9]`, `(?m)^pregon_slow_clients_total\{outcome="disconnected"\} 1$`,
		`(?m)^pregon_messages_heard_total 257$`, `(?m)^pregon_gaps_total\{reason="overrun"\} 0$`, `(?m)^pregon_channels [1-9]`, `(?m)^pregon_connections\{transport="ws"\} [1-9]`} {
		if !regexp.MustCompile(want).MatchString(figures) {
			t.Errorf("no %s in\n%s", want, figures)
		}
	}
}
