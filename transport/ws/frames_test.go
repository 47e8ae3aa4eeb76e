package ws_test

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/ws"
)

// masked makes a client's frame with a mask of zeros.
func masked(first byte, payload string) string {
	size := []byte{0x80 | byte(len(payload))}
	if len(payload) > 125 {
		size = binary.BigEndian.AppendUint16([]byte{0x80 | 126}, uint16(len(payload)))
	}
	return string([]byte{first}) + string(size) + "\x00\x00\x00\x00" + payload
}

// With compression, RSV1 is for the first frame of a message alone (RFC 7692 section
// 6). What comes before the frame that has it wrongly is answered first.
func TestRSV1(t *testing.T) {
	const hi = "\xca\xc9\x04\x00" // "hi", deflated
	const protocol, normal = "\x03\xea", "\x03\xe8"
	bye := masked(0x88, normal)
	for name, c := range map[string]struct{ sent, want string }{
		"message":                    {masked(0xC1, hi) + bye, normal},
		"fragments":                  {masked(0x41, hi[:2]) + masked(0x80, hi[2:]) + bye, normal},
		"ping":                       {masked(0xC9, ""), protocol},
		"pong":                       {masked(0xCA, "x"), protocol},
		"close":                      {masked(0xC8, normal), protocol},
		"continuation":               {masked(0x41, hi[:2]) + masked(0xC0, hi[2:]), protocol},
		"ping within a message":      {masked(0x41, hi[:2]) + masked(0xC9, ""), protocol},
		"behind a long payload":      {masked(0x82, strings.Repeat("\xC9", 300)) + masked(0xC9, ""), protocol},
		"the same bytes in payloads": {masked(0x82, strings.Repeat("\xC9", 300)) + masked(0x82, "\xC0") + bye, normal},
	} {
		for how, size := range map[string]int{"at once": len(c.sent), "byte by byte": 1} {
			conn, _ := dialRaw(t, "permessage-deflate")
			_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
			for rest := c.sent; rest != ""; rest = rest[min(size, len(rest)):] {
				_, _ = io.WriteString(conn, rest[:min(size, len(rest))])
			}
			answer, err := io.ReadAll(conn)
			if err != nil || len(answer) < 4 || answer[0] != 0x88 || string(answer[2:4]) != c.want {
				t.Errorf("%s, %s: answered with %x, %v", name, how, answer, err)
			}
		}
	}
	conn, _ := dialRaw(t, "permessage-deflate")
	_, _ = io.WriteString(conn, masked(0x89, "first")+masked(0xC9, ""))
	if answer, _ := io.ReadAll(conn); !strings.HasPrefix(string(answer), "\x8A\x05first\x88") {
		t.Errorf("a ping and then a bad one are answered with %q", answer)
	}
}

// No broken framing is ended without a word: a close frame says 1002, or 1009 of a length that no message
// may have, with compression and without, and wherever the bytes are cut (RFC 6455 sections 5.2 and 7.1.7).
func TestBrokenFraming(t *testing.T) {
	const protocol, tooBig = "\x03\xea", "\x03\xf1"
	long := func(first byte, size uint64) string {
		return string(binary.BigEndian.AppendUint64([]byte{first, 0x80 | 127}, size)) + "\x00\x00\x00\x00"
	}
	for name, c := range map[string]struct{ sent, want string }{
		"a length with the top bit":            {long(0x82, 1<<63), protocol},
		"a length of ones":                     {long(0x81, 1<<64-1), protocol},
		"the top bit behind a message":         {masked(0x82, "hi") + long(0x82, 1<<63), protocol},
		"the top bit in a continuation":        {masked(0x02, "hi") + long(0x80, 1<<63), protocol},
		"the top bit behind a ping in between": {masked(0x02, "hi") + masked(0x89, "") + long(0x80, 1<<63), protocol},
		"the top bit in a ping":                {long(0x89, 1<<63), protocol},
		"the top bit of a length of 16 bits":   {"\x82\xfe\xff\xff\x00\x00\x00\x00", tooBig},
		"the longest length":                   {long(0x82, 1<<63-1), tooBig},
		"the longest length in a continuation": {masked(0x02, "hi") + long(0x80, 1<<63-1), tooBig},
		"lengths that overflow, one at a time": {masked(0x02, "hi") + masked(0x00, "hi") + long(0x00, 1<<63-2), tooBig},
		"a reserved opcode":                    {masked(0x83, ""), protocol},
		"a reserved control opcode":            {masked(0x8B, ""), protocol},
		"RSV2":                                 {masked(0xA2, ""), protocol},
		"RSV3":                                 {masked(0x92, ""), protocol},
		"no mask":                              {"\x82\x02hi", protocol},
		"a control frame in fragments":         {masked(0x09, ""), protocol},
		"a long ping":                          {masked(0x89, strings.Repeat("x", 126)), protocol},
		"a long close":                         {masked(0x88, "\x03\xe8"+strings.Repeat("x", 124)), protocol},
		"a continuation of nothing":            {masked(0x80, "hi"), protocol},
		"a message within a message":           {masked(0x02, "hi") + masked(0x82, "hi"), protocol},
		"half a close code":                    {masked(0x88, "\x03"), protocol},
		"a close code that is none":            {masked(0x88, "\x03\xed"), protocol},
		"a close reason that is not UTF-8":     {masked(0x88, "\x03\xe8\xff"), protocol},
		"everything wrong at once":             {"\x7b\xff", protocol},
		"half a close code in a message":       {masked(0x02, "hi") + masked(0x88, "\x03"), protocol},
	} {
		for _, offer := range []string{"x", "permessage-deflate"} {
			for how, size := range map[string]int{"at once": len(c.sent), "byte by byte": 1} {
				conn, _ := dialRaw(t, offer)
				_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
				for rest := c.sent; rest != ""; rest = rest[min(size, len(rest)):] {
					_, _ = io.WriteString(conn, rest[:min(size, len(rest))])
				}
				answer, _ := io.ReadAll(conn)
				answer = bytes.TrimPrefix(answer, []byte("\x8A\x00"))
				if len(answer) < 4 || answer[0] != 0x88 || string(answer[2:4]) != c.want {
					t.Errorf("%s, %s, %s: answered with %x", name, offer, how, answer)
				}
				_ = conn.Close()
			}
		}
	}
}

// A client that begins a frame has ten seconds for it; one that has said nothing yet
// has all the time it wants.
func TestHalfAFrame(t *testing.T) {
	for name, sent := range map[string]string{
		"one byte": "\x81", "a header": masked(0x81, "hola")[:6], "a ping": masked(0x89, "hola")[:8],
		"a fragment": masked(0x01, "hola"), "behind a ping": masked(0x89, "") + "\x89",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				peer := pipe(t)
				time.Sleep(time.Hour)
				began := time.Now()
				go func() { _, _ = io.WriteString(peer, sent) }()
				_, _ = io.Copy(io.Discard, peer)
				if took := time.Since(began); took != 10*time.Second {
					t.Errorf("ended after %v", took)
				}
			})
		})
	}
}

// pipe connects a client over a net.Pipe, within a bubble of synctest.
func pipe(t *testing.T) net.Conn {
	client := newCapture()
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute})
	tr := ws.New(transport.Deps{Sockets: sockets, MaxInbound: 1 << 10})
	f, _ := transport.FormatByName("raw")
	ours, peer := net.Pipe()
	l := &single{conn: make(chan net.Conn, 1)}
	l.conn <- ours
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := tr.Serve(w, r, transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c"}}, Format: f, Client: client}); err != nil {
			t.Error(err)
		}
	})}
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() {
		_ = peer.Close()
		_ = web.Close()
		tr.Wait()
		sockets.Wait()
	})
	_, _ = io.WriteString(peer, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	answer, err := http.ReadResponse(bufio.NewReader(peer), nil)
	if err != nil || answer.StatusCode != http.StatusSwitchingProtocols {
		t.Fatal(answer, err)
	}
	return peer
}

// A single is a listener for one connection.
type single struct{ conn chan net.Conn }

func (l *single) Accept() (net.Conn, error) {
	if c, ok := <-l.conn; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l *single) Close() error   { close(l.conn); return nil }
func (l *single) Addr() net.Addr { return &net.TCPAddr{} }
