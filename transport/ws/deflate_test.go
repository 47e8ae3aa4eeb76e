package ws_test

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// What is compressed is what another implementation reads back, and shorter;
// what would not be shorter is sent as it is.
func TestCompressedMessagesSurvive(t *testing.T) {
	c, s := connect(t, "raw", true)
	var w socket.Writer
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "piece")
		m := broker.Message{Channel: "c", Data: bytes.Repeat(piece, rapid.IntRange(0, 300).Draw(t, "times"))}.Normalized()
		framed := s.Encoding.Message(m)
		if len(framed) > len(m.Data)+10 {
			t.Fatalf("%d bytes became %d", len(m.Data), len(framed))
		}
		if _, err := s.Socket.Send(&w, socket.Batch{Frames: framed, Messages: 1}); err != nil {
			t.Fatal(err)
		}
		kind, p, err := c.ReadMessage()
		if err != nil || (kind == websocket.BinaryMessage) != m.Binary || !bytes.Equal(p, m.Data) {
			t.Fatalf("kind %d, %d of %d bytes, %v", kind, len(p), len(m.Data), err)
		}
	})
	text := strings.Repeat(`{"type":"message"}`, 100)
	if n := len(s.Encoding.Message(broker.Message{Channel: "c", Data: []byte(text)})); n > len(text)/10 {
		t.Errorf("%d bytes of much the same became %d", len(text), n)
	}
}

// Only offers that can be kept are accepted (RFC 7692 section 7.1).
func TestOffers(t *testing.T) {
	for offer, accepted := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                                    true,
		`permessage-deflate; client_max_window_bits="10"; server_no_context_takeover`:   true,
		"permessage-deflate; server_max_window_bits=10":                                 false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":             true,
		"permessage-deflate; client_max_window_bits=16":                                 false,
		"permessage-deflate; server_no_context_takeover=1":                              false,
		"permessage-deflate; client_no_context_takeover; client_no_context_takeover":    false,
		"permessage-deflate; strange":                                                   false,
		"permessage-deflate;":                                                           false,
		"x-webkit-deflate-frame":                                                        false,
		"x-unknown; a=b, permessage-deflate; client_max_window_bits; unknown, x; y=\"z": false,
	} {
		_, answer := dialRaw(t, offer)
		got := answer.Header.Get("Sec-WebSocket-Extensions")
		if answer.StatusCode != http.StatusSwitchingProtocols || (got != "") != accepted {
			t.Errorf("%q: %s, %q", offer, answer.Status, got)
		}
	}
}

// dialRaw opens a WebSocket by hand.
func dialRaw(t *testing.T, offer string) (net.Conn, *http.Response) {
	t.Helper()
	c, err := net.Dial("tcp", serve(t, "raw", transport.Start{}).addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: "+offer+"\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, answer
}

// A client is held to the length of its messages after decompression, and to
// what can be decompressed.
func TestCompressedInput(t *testing.T) {
	var bomb bytes.Buffer
	w, _ := flate.NewWriter(&bomb, flate.BestCompression)
	_, _ = w.Write(make([]byte, 100_000))
	_ = w.Flush()
	for name, c := range map[string]struct {
		payload []byte
		close   string
	}{
		"too big inflated": {bytes.TrimSuffix(bomb.Bytes(), []byte("\x00\x00\xff\xff")), "\x03\xf1"}, // 1009
		"not deflate":      {[]byte("\xff\xff\xff"), "\x03\xef"},                                     // 1007
		"cut short":        {[]byte("\x00\x05\x00\xfa\xff"), "\x03\xef"},
	} {
		conn, _ := dialRaw(t, "permessage-deflate")
		size := []byte{0x80 | 126, byte(len(c.payload) >> 8), byte(len(c.payload))}
		if len(c.payload) < 126 {
			size = []byte{0x80 | byte(len(c.payload))}
		}
		_, _ = conn.Write(append(append(append([]byte{0xC2}, size...), 0, 0, 0, 0), c.payload...))
		answer, err := io.ReadAll(conn)
		if err != nil || len(answer) < 4 || answer[0] != 0x88 || string(answer[2:4]) != c.close {
			t.Errorf("%s: answered with %x, %v", name, answer, err)
		}
	}
}
