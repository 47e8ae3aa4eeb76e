package server_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// Frames of HTTP/2 (RFC 9113, section 6) and their flags.
const (
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameSettings     = 0x4
	frameContinuation = 0x9

	endStream  = 0x1
	endHeaders = 0x4
)

// A framer writes frames as they are, and reads nothing of what is answered but its end.
type framer struct {
	net.Conn
	ended chan struct{} // closed when the server has closed the connection
}

func (n *node) framer() *framer {
	n.t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	h := &framer{c, make(chan struct{})}
	_ = c.SetDeadline(time.Now().Add(patience))
	go func() { defer close(h.ended); _, _ = io.Copy(io.Discard, c) }()
	n.t.Cleanup(func() { _ = c.Close(); <-h.ended })
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	_ = h.frame(frameSettings, 0, 0, nil)
	return h
}

// frame writes one. An error means that the server has closed the connection.
func (h *framer) frame(kind, flags byte, stream uint32, payload []byte) error {
	head := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	head = binary.BigEndian.AppendUint32(append(head, flags), stream)
	_, err := h.Write(append(head, payload...))
	return err
}

// getBlock is the header block of GET http://example.com with a short path (RFC 7541, appendix A).
func getBlock(path string) []byte {
	block := []byte{0x82, 0x86, 0x04, byte(len(path))}
	block = append(append(block, path...), 0x01, byte(len("example.com")))
	return append(block, "example.com"...)
}

// Streams that are reset as soon as they are opened (CVE-2023-44487) leave nothing behind, and nobody
// else notices.
func TestHTTP2RapidReset(t *testing.T) {
	n := start(t, server.Options{})
	honest := n.overHTTP2().sse("/sse/c")
	before := runtime.NumGoroutine()
	h := n.framer()
	for id := uint32(1); id < 20_000; id += 2 {
		if h.frame(frameHeaders, endStream|endHeaders, id, getBlock("/sse/c")) != nil || h.frame(frameReset, 0, id, []byte{0, 0, 0, 8}) != nil {
			break // the server has had enough, as it may
		}
	}
	if n.publish("c", "hola"); honest.event() != "data: hola" {
		t.Error("another client does not hear any more")
	}
	comesTrue(t, "the streams are gone", func() bool { return n.server.Stats().Connections == 1 })
	_ = h.Close()
	comesTrue(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before+10 })
}

// Headers without end are not collected for ever.
func TestHTTP2EndlessHeaders(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	h := n.framer()
	err := h.frame(frameHeaders, endStream, 1, getBlock("/sse/c"))
	field := make([]byte, 16<<10) // a name that is never complete, then more of the same
	copy(field, []byte{0x00, 0x7f, 0xff, 0xff, 0x7f})
	sent := 0
	for ; err == nil && sent < 64<<20; sent += len(field) {
		err = h.frame(frameContinuation, 0, 1, field)
	}
	if err == nil {
		t.Error("the server takes", sent, "bytes of headers")
	}
	<-h.ended
}

// What clients send in the body of a request that needs none takes nothing away from the others on their
// connection, for as long as they listen; one that sends more than a little is refused.
func TestHTTP2BodiesOfListeners(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{}).overHTTP2()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	send := func(method, path string, size int) *http.Response {
		t.Helper()
		r, _ := http.NewRequestWithContext(ctx, method, "http://"+n.addr+path, strings.NewReader(strings.Repeat("x", size)))
		resp, err := n.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return resp
	}
	for range 40 { // together more than a connection takes before it is read
		if resp := send("GET", "/sse/c", 15<<10); resp.StatusCode != http.StatusOK {
			t.Fatal(resp.Status)
		}
	}
	if resp := send("POST", "/publish/c", 500<<10); resp.StatusCode != http.StatusOK {
		t.Error(resp.Status)
	}
	if resp := send("GET", "/sse/c", 500<<10); resp.StatusCode != http.StatusRequestEntityTooLarge {
		t.Error("a long body:", resp.Status)
	}
}

// Answers out of a history that a client asks for, and does not read, take no more memory than there is for all: then long answers
// are refused, short ones are not, and all is well when the client has gone.
func TestHTTP2UnreadHistories(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour}).Broker(), MaxBodies: 1 << 20})
	n.publish("long", strings.Repeat("x", 200<<10))
	n.publish("short", "x")
	h := n.framer()
	for id := uint32(1); id < 20; id += 2 {
		if err := h.frame(frameHeaders, endStream|endHeaders, id, getBlock("/history/long")); err != nil {
			t.Fatal(err)
		}
	}
	status := func(path string) int {
		resp, _ := n.raw("GET " + path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		return resp.StatusCode
	}
	comesTrue(t, "a long answer is refused", func() bool { return status("/history/long") == http.StatusServiceUnavailable })
	if got := status("/history/short"); got != http.StatusOK {
		t.Error("a short answer:", got)
	}
	_ = h.Close()
	comesTrue(t, "the room is free again", func() bool { return status("/history/long") == http.StatusOK })
}
