package live_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport/live/livetest"
)

// Frames that no client should send end the connection with the right code, and a fragmented command is one
// all the same.
func TestBadFrames(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{MaxMessage: 1000, Compress: true})
	const command = `{"type":"unsubscribe","ref":1,"channel":"a"}`
	for name, c := range map[string]struct {
		frames string
		code   int
	}{
		"binary":                {masked(0x82, command), 1003},
		"not UTF-8":             {masked(0x81, `{"type":"unsubscribe","ref":1,"channel":"`+"\xff"+`"}`), 1007},
		"empty":                 {masked(0x81, ""), 1007},
		"no object":             {masked(0x81, "7"), 1007},
		"two objects":           {masked(0x81, command+command), 1007},
		"too long":              {masked(0x81, strings.Repeat(" ", 2*1000+64<<10+1)), 1009},
		"too long, fragmented":  {masked(0x01, strings.Repeat(" ", 2*1000+64<<10)) + masked(0x80, "  "), 1009},
		"not compressed":        {masked(0xC1, command), 1002},
		"a length of 64 bits":   {"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002},
		"the same, later":       {masked(0x01, command[:10]) + "\x80\xff\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 1002},
		"lengths that overflow": {masked(0x01, command[:10]) + "\x80\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009},
		"a reserved opcode":     {masked(0x83, command), 1002},
		"not masked":            {"\x81\x02{}", 1002},
	} {
		conn := n.raw(t)
		_, _ = conn.Write([]byte(c.frames))
		if got := closeCode(t, conn); got != c.code {
			t.Errorf("%s: closed with %d, want %d", name, got, c.code)
		}
	}
	conn := n.raw(t)
	_, _ = conn.Write([]byte(masked(0x01, command[:10]) + masked(0x89, "") + masked(0x00, "") + masked(0x80, command[10:])))
	if _, err := readUntil(conn, `{"type":"unsubscribed","ref":1,"channel":"a"}`); err != nil {
		t.Error("a command in fragments:", err)
	}
}

// masked makes a client's frame with a mask of zeros.
func masked(first byte, payload string) string {
	size := []byte{0x80 | byte(len(payload))}
	switch {
	case len(payload) > 0xFFFF:
		size = binary.BigEndian.AppendUint64([]byte{0x80 | 127}, uint64(len(payload)))
	case len(payload) > 125:
		size = binary.BigEndian.AppendUint16([]byte{0x80 | 126}, uint16(len(payload)))
	}
	return string([]byte{first}) + string(size) + "\x00\x00\x00\x00" + payload
}

// raw connects a client that has read its welcome.
func (n *site) raw(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(livetest.Patience))
	fmt.Fprintf(conn, "GET /live HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", n.addr)
	if _, err := readUntil(conn, `"limits":{"message":1000}}`); err != nil {
		t.Fatal(err)
	}
	return conn
}

// readUntil returns what comes up to an end.
func readUntil(conn net.Conn, end string) (all []byte, err error) {
	for !bytes.HasSuffix(all, []byte(end)) && err == nil {
		var one [1]byte
		_, err = conn.Read(one[:])
		all = append(all, one[:]...)
	}
	return all, err
}

// closeCode returns the code of the close frame that comes next.
func closeCode(t *testing.T, conn net.Conn) int {
	t.Helper()
	var head [4]byte
	for i := range head {
		if _, err := conn.Read(head[i : i+1]); err != nil {
			t.Fatal("no close frame:", err)
		}
	}
	if head[0] != 0x88 {
		t.Fatalf("% x", head)
	}
	return int(binary.BigEndian.Uint16(head[2:]))
}

// A client may fail a thousand times at once, and then a hundred times a second; one that fails more often
// is sent away. What works costs nothing of that.
func TestTooManyErrors(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: memory.New()})
	c := n.dial("")
	const wrong = `{"type":"none"}`
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 1000 {
			c.Send(wrong)
		}
	}()
	for range 1000 {
		expect(t, c, `{"type":"error","status":400,"code":"unknown_type"`)
	}
	<-sent
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		for c.WriteMessage(websocket.TextMessage, []byte(wrong)) == nil {
		}
	}()
	if _, code, reason := c.Closed(); code != websocket.ClosePolicyViolation || reason != "too many commands that fail" {
		t.Errorf("closed with %d %s", code, reason)
	}
	<-refused

	c = n.dial("")
	const many = 5000
	go sendMany(c, "a", 0, many)
	for i := range many {
		expect(t, c, fmt.Sprintf(`{"type":"published","ref":%d,`, i))
	}
}

// What compression saves is bounded, too: a client that has the server read a thousand bytes for one that it sends is sent
// away, however well its commands go.
func TestInflatedFlood(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: memory.New(), MaxMessage: 1000, Compress: true})
	c, _, err := (&websocket.Dialer{EnableCompression: true}).Dial("ws://"+n.addr+"/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(livetest.Patience))
	command := []byte(`{"type":"members","channel":"a"` + strings.Repeat(" ", 64<<10) + "}")
	for range 20 {
		if err := c.WriteMessage(websocket.TextMessage, command); err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	refused := make(chan struct{})
	go func() {
		defer close(refused)
		for c.WriteMessage(websocket.TextMessage, command) == nil {
		}
	}()
	for err == nil {
		_, _, err = c.ReadMessage()
	}
	if closed := (*websocket.CloseError)(nil); !errors.As(err, &closed) || closed.Code != websocket.ClosePolicyViolation || closed.Text != "sending too much" {
		t.Error(err)
	}
	<-refused
}

// A client that does not read its answers is sent away for that, and holds up nobody.
func TestUnreadAnswers(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: memory.New(), QueueBytes: 256 << 10, WriteTimeout: time.Second})
	canary := n.dial("?channel=canary")
	expect(t, canary, `{"type":"subscribed","channel":"canary"`)
	deaf := n.dial("?channel=deaf")
	const command = `{"type":"publish","ref":"0123456789012345678901234567890123456789012345678901234567890123","channel":"deaf","data":"x"}`
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for deaf.WriteMessage(websocket.TextMessage, []byte(command)) == nil {
		}
	}()
	var slowest time.Duration
	for ended := false; !ended; {
		began := time.Now()
		n.publish("canary", "x")
		expect(t, canary, `{"type":"message","channel":"canary","data":"x"`)
		slowest = max(slowest, time.Since(began))
		select {
		case <-gone:
			ended = true
		default:
		}
	}
	t.Log("the canary waited at most", slowest)
}

// Refused: a handshake gets a reason that a page can see, and anything else, or a crowd, what HTTP answers.
func TestRefused(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules()})
	resp, err := http.Get("http://" + n.addr + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
		t.Error("a plain GET:", resp.Status)
	}
	var upgraded, refused atomic.Int64
	var crowd sync.WaitGroup
	for range 20 { // and the later ones while the others stay
		crowd.Go(func() {
			for refused.Load() == 0 && !t.Failed() {
				conn, resp, err := websocket.DefaultDialer.Dial("ws://"+n.addr+"/live", nil)
				switch {
				case err == nil:
					upgraded.Add(1)
					t.Cleanup(func() { _ = conn.Close() })
				case resp != nil && resp.StatusCode == http.StatusUnauthorized:
					refused.Add(1)
				default:
					t.Error(err)
				}
			}
		})
	}
	crowd.Wait()
	if upgraded.Load() < 64 {
		t.Errorf("%d were told over WebSocket before one was by HTTP", upgraded.Load())
	}
}
