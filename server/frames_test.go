package server_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

// frame makes a client's frame with a mask of zeros.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xFFFF:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// rawWS opens a WebSocket and returns the connection behind the handshake.
func (n *node) rawWS(path string) (net.Conn, *bufio.Reader) {
	n.t.Helper()
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = io.WriteString(c, n.authorized(upgrade(path)))
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		n.t.Fatal("upgrade:", resp, err)
	}
	return c, r
}

// nextFrame returns the next frame of the server's: at most 125 bytes.
func nextFrame(t testing.TB, r io.Reader) (first byte, payload string) {
	t.Helper()
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		t.Fatal("read frame:", err)
	}
	p := make([]byte, head[1])
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal("read frame:", err)
	}
	return head[0], string(p)
}

// A client that breaks the protocol is told with the right close code, and the
// server ends the connection.
func TestCloseCodes(t *testing.T) {
	onEveryGround(t, "", func(t *testing.T, n *node, _ broker.Broker) { closesAll(t, n) })
}

func closesAll(t *testing.T, n *node) {
	flood := bytes.Repeat(frame(0x81, "x"), 1000)
	pings := bytes.Repeat(frame(0x89, "x"), 1000)
	fragments := append(frame(0x01, "x"), bytes.Repeat(frame(0x00, ""), 300_000)...)
	for _, c := range []struct {
		name string
		sent []byte
		code uint16
	}{
		{"unmasked", []byte{0x81, 0x01, 'x'}, 1002},
		{"RSV1", frame(0xC1, "x"), 1002},
		{"RSV2", frame(0xA1, "x"), 1002},
		{"RSV3", frame(0x91, "x"), 1002},
		{"opcode 3", frame(0x83, "x"), 1002},
		{"opcode 11", frame(0x8B, "x"), 1002},
		{"continuation without start", frame(0x80, "x"), 1002},
		{"text inside a fragmented message", append(frame(0x01, "x"), frame(0x81, "y")...), 1002},
		{"fragmented ping", frame(0x09, "x"), 1002},
		{"a gigabyte declared", []byte{0x82, 0xFF, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0, 'x'}, 1009},
		{"message over the limit", frame(0x82, strings.Repeat("x", 65<<10)), 1009},
		{"text not UTF-8", frame(0x81, "a\xff"), 1007},
		{"text cut in a character", frame(0x81, "a\xc3"), 1007},
		{"character cut by fragments is fine, then close", append(append(frame(0x01, "\xc3"), frame(0x80, "\xb1")...), frame(0x88, "\x03\xe8")...), 1000},
		{"close with half a code", frame(0x88, "\x03"), 1002},
		{"close with a code", frame(0x88, "\x03\xe9bye"), 1001},
		{"flood of messages", flood, 1008},
		{"flood of pings", pings, 1008},
		{"flood of empty fragments", fragments, 1008},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, r := n.rawWS("/ws/c")
			go func() { _, _ = conn.Write(c.sent) }()
			for {
				first, payload := nextFrame(t, r)
				if first == 0x8A {
					continue // pongs up to the limit
				}
				if first != 0x88 || len(payload) < 2 || binary.BigEndian.Uint16([]byte(payload)) != c.code {
					t.Fatalf("frame %x %q, want a close with %d", first, payload, c.code)
				}
				break
			}
			if rest, _ := io.ReadAll(r); len(rest) > 0 {
				t.Errorf("%d bytes after the close frame", len(rest))
			}
		})
	}
}

// A ping is answered with its own payload; what else a client says is ignored.
func TestClientFramesAreIgnored(t *testing.T) {
	n := start(t, server.Options{})
	conn, r := n.rawWS("/ws/c")
	payload := strings.Repeat("p", 125)
	for _, f := range [][]byte{frame(0x81, "¡hola!"), frame(0x82, "\xff"), frame(0x8A, "unsolicited"), frame(0x89, payload)} {
		if _, err := conn.Write(f); err != nil {
			t.Fatal(err)
		}
	}
	if first, got := nextFrame(t, r); first != 0x8A || got != payload {
		t.Errorf("answer to ping: %x %q", first, got)
	}
	n.publish("c", "hola")
	if first, got := nextFrame(t, r); first != 0x81 || got != "[c] hola" {
		t.Errorf("message: %x %q", first, got)
	}
}

// A client that does not answer pings is let go, and one that does is kept.
func TestPings(t *testing.T) {
	n := start(t, server.Options{PingInterval: 200 * time.Millisecond, PongTimeout: time.Second})
	dumb, r := n.rawWS("/ws/c")
	alive := n.ws("/ws/c")
	heard := make(chan string, 1)
	go func() { text, _ := readErr(alive); heard <- text }() // answers pings while it reads
	for {
		first, payload := nextFrame(t, r)
		if first == 0x89 {
			continue
		}
		if first != 0x88 || binary.BigEndian.Uint16([]byte(payload)) != 4002 {
			t.Errorf("frame %x %q, want a close with 4002", first, payload)
		}
		break
	}
	_ = dumb.Close()
	n.publish("c", "hola")
	if got := <-heard; got != "[c] hola" {
		t.Error(got)
	}
}
