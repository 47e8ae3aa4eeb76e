package bench_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/cmd/bench"
)

// A faulty server does to its fifth message what its fault says, for each
// subscriber.
type faulty struct {
	fault string
	mu    sync.Mutex
	conns []net.Conn
	seen  int
	held  []byte
}

func startFaulty(t *testing.T, fault string) string {
	t.Helper()
	f := &faulty{fault: fault}
	s := httptest.NewServer(f)
	t.Cleanup(func() {
		s.Close()
		f.mu.Lock()
		defer f.mu.Unlock()
		for _, c := range f.conns {
			_ = c.Close()
		}
	})
	return s.URL
}

func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/ws/") {
		f.subscribe(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	f.seen++
	if f.seen == 5 && f.fault == "refuse" {
		http.Error(w, `{"detail":"Come back."}`, http.StatusServiceUnavailable)
		return
	}
	if f.seen == 5 && f.fault == "time out" {
		http.Error(w, "", http.StatusGatewayTimeout)
		return
	}
	out := frame(body)
	if f.seen == 5 {
		out = f.spoil(out)
	} else {
		out = append(out, f.held...)
		f.held = nil
	}
	for _, c := range f.conns {
		_, _ = c.Write(out)
		if f.fault == "ping" && f.seen == 5 && !ponged(c) {
			_ = c.Close()
		}
	}
}

// ponged reports whether the next that the client says is a masked pong with the
// data of the ping (RFC 6455, section 5.5.3).
func ponged(c net.Conn) bool {
	var b [7]byte
	_, err := io.ReadFull(c, b[:])
	return err == nil && b[0] == 0x8a && b[1] == 0x81 && b[6]^b[2] == 'p'
}

func frame(payload []byte) []byte { return append([]byte{0x81, byte(len(payload))}, payload...) }

// spoil returns what is sent instead of the frame.
func (f *faulty) spoil(frame []byte) []byte {
	switch f.fault {
	case "drop":
		return nil
	case "double":
		return append(frame, frame...)
	case "swap":
		f.held = frame
		return nil
	case "corrupt":
		frame[2] = '?'
	case "shorten":
		frame[1]--
		return frame[:len(frame)-1]
	case "ping":
		return append([]byte{0x89, 1, 'p'}, frame...)
	case "close":
		return append(frame, "\x88\x08\x0f\xa8slowly"...)
	case "mask":
		frame[1] |= 0x80
	}
	return frame
}

func (f *faulty) subscribe(w http.ResponseWriter, r *http.Request) {
	if f.fault == "no room" {
		http.Error(w, `{"detail":"Too many."}`, http.StatusServiceUnavailable)
		return
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	key := bench.AcceptKey(r.Header.Get("Sec-WebSocket-Key"))
	if f.fault == "wrong key" {
		key = bench.AcceptKey("another")
	}
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", key)
	f.conns = append(f.conns, conn)
}
