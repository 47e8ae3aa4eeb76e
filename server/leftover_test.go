//go:build unix

package server_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
)

var leftoverTimes = flag.Int("leftover.times", 1, "how many times as much TestNothingIsLeft does: 100 is its long form")

// What a process has that may be left behind.
type holdings struct{ goroutines, descriptors, heap int }

func held(t *testing.T) holdings {
	t.Helper()
	runtime.GC()
	runtime.GC() // what finalizers have let go
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	open, err := os.ReadDir("/dev/fd")
	if err != nil {
		t.Fatal(err)
	}
	return holdings{runtime.NumGoroutine(), len(open), int(m.HeapAlloc)}
}

// beyond says what h has more than before, "" where it is nothing. Pools keep a little.
func (h holdings) beyond(before holdings) string {
	const slack = 1 << 20
	if h.goroutines <= before.goroutines && h.descriptors <= before.descriptors && h.heap <= before.heap+slack {
		return ""
	}
	return fmt.Sprintf("%+v, and before %+v", h, before)
}

// Handshakes that are abandoned, clients that join and leave, and clients that never read, beside others
// that do, leave nothing behind: no goroutine, no descriptor, no memory.
func TestNothingIsLeft(t *testing.T) {
	n := start(t, server.Options{QueueBytes: 64 << 10, WriteTimeout: time.Second})
	for name, deed := range map[string]func(*testing.T, *node, int){
		"abandoned handshakes":                           abandonHandshakes,
		"joins and leaves":                               joinAndLeave,
		"clients that never read, beside others that do": neverRead,
	} {
		t.Run(name, func(t *testing.T) {
			deed(t, n, *leftoverTimes) // maps and lists that have grown for many stay as they are
			settle(t, n, holdings{1 << 20, 1 << 20, 1 << 40})
			before := held(t)
			deed(t, n, *leftoverTimes)
			settle(t, n, before)
			t.Logf("before %+v, after %+v", before, held(t))
		})
	}
}

// settle returns when all clients have gone and nothing is left of them.
func settle(t *testing.T, n *node, before holdings) {
	t.Helper()
	var left string
	if !await(func() bool {
		n.pool.CloseIdleConnections()
		if n.server.Stats().Connections > 0 {
			left = "connections"
			return false
		}
		left = held(t).beyond(before)
		return left == ""
	}) {
		t.Errorf("left: %s", left)
	}
}

// abandonHandshakes goes away in the middle of a handshake, or right behind it.
func abandonHandshakes(t *testing.T, n *node, times int) {
	requests := []string{handshakeTo("/ws/a"), handshakeTo("/live"), "GET /sse/a HTTP/1.1\r\nHost: localhost\r\n\r\n"}
	together(10, func(int) {
		for range 10 * times {
			c, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Error(err)
				return
			}
			request := requests[rand.IntN(len(requests))]
			_, _ = c.Write([]byte(request[:rand.IntN(len(request)+1)]))
			if rand.IntN(2) == 0 {
				_ = c.(*net.TCPConn).SetLinger(0)
			}
			_ = c.Close()
		}
	})
}

func handshakeTo(path string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
}

// joinAndLeave has a few clients join and leave a channel again and again.
func joinAndLeave(t *testing.T, n *node, times int) {
	together(10, func(client int) {
		c, err := n.dial("/live")
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		for i := range 100 * times {
			channel := fmt.Sprint("left.", client, ".", i%50)
			for _, command := range []string{"subscribe", "unsubscribe"} {
				if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, `{"type":%q,"channel":%q,"ref":"x"}`, command, channel)); err != nil {
					t.Error(err)
					return
				}
				for answer := ""; !strings.HasPrefix(answer, `{"type":"`+command+`d"`); {
					if answer, err = readErr(c); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}
	})
}

// neverRead publishes to clients a third of which read nothing, until these are disconnected. The next
// message comes when all others have read the one before.
func neverRead(t *testing.T, n *node, times int) {
	asleep, awake := 10*times, 20*times
	conns := make([]*websocket.Conn, awake)
	for i := range conns {
		c, err := n.dial("/ws/wide?format=raw")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns[i] = c
	}
	for range asleep {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(4 << 10)
		_, _ = c.Write([]byte(handshakeTo("/ws/wide?format=raw")))
	}
	if !await(func() bool { return n.server.Stats().Connections == asleep+awake }) {
		t.Fatal("some clients are not there")
	}
	for text := strings.Repeat("x", 32<<10); n.server.Stats().Connections > awake && !t.Failed(); {
		n.publish("wide", text)
		together(len(conns), func(i int) {
			if _, err := readErr(conns[i]); err != nil {
				t.Errorf("a client that reads: %v", err)
			}
		})
	}
}

// together runs f as so many clients, and waits for them.
func together(clients int, f func(client int)) {
	var all sync.WaitGroup
	defer all.Wait()
	for i := range clients {
		all.Go(func() { f(i) })
	}
}
