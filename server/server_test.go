package server_test

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// Every way to publish reaches every way to listen.
func TestPublishIsHeard(t *testing.T) {
	n := start(t, server.Options{})
	text, raw, object := n.ws("/ws/chat"), n.ws("/ws/chat?format=raw"), n.ws("/ws/chat?format=json")
	events := n.sse("/sse/chat")
	for _, c := range []struct{ name, path, contentType, body, want string }{
		{"query", "/publish/chat?message=Hola+desde+el+backend", "", "", "Hola desde el backend"},
		{"json string", "/publish/chat", "application/json", `"¡Hola mundo!"`, "¡Hola mundo!"},
		{"json value", "/publish/chat", "application/json; charset=utf-8", `{"a": 1}`, `{"a": 1}`},
		{"json null", "/publish/chat", "application/json", `null`, `null`},
		{"text", "/publish/chat", "text/plain", "hola", "hola"},
		{"no type", "/publish/chat", "", "hola", "hola"},
		{"form", "/publish/chat", "application/x-www-form-urlencoded", "message=a%26b+c", "a&b c"},
		{"empty query message", "/publish/chat?message=", "", "", ""},
		{"empty json string", "/publish/chat", "application/json", `""`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if status, body := n.post(c.path, c.contentType, c.body); status != http.StatusOK || body != `{"channel":"chat"}`+"\n" {
				t.Fatalf("publish: %d %s", status, body)
			}
			if got := read(t, text); got != "[chat] "+c.want {
				t.Errorf("text: %q", got)
			}
			if got := read(t, raw); got != c.want {
				t.Errorf("raw: %q", got)
			}
			wantObject := `{"type":"message","channel":"chat","data":"` + strings.ReplaceAll(c.want, `"`, `\"`) + `"}`
			if got := read(t, object); got != wantObject {
				t.Errorf("json: %q", got)
			}
			if got := events.event(); got != "data: "+c.want {
				t.Errorf("sse: %q", got)
			}
		})
	}
}

// A binary message travels as a binary frame, or in base64 where there is text only.
func TestBinaryIsHeard(t *testing.T) {
	n := start(t, server.Options{})
	raw, object, events := n.ws("/ws/b?format=raw"), n.ws("/ws/b?format=json"), n.sse("/sse/b")
	if status, body := n.post("/publish/b", "application/octet-stream", "\xff\x00\x01"); status != http.StatusOK {
		t.Fatal(status, body)
	}
	if kind, p, err := raw.ReadMessage(); err != nil || kind != websocket.BinaryMessage || string(p) != "\xff\x00\x01" {
		t.Errorf("raw: %d %q %v", kind, p, err)
	}
	if got := read(t, object); got != `{"type":"message","channel":"b","data":"/wAB","encoding":"base64"}` {
		t.Errorf("json: %s", got)
	}
	if got := events.event(); got != "event: binary\ndata: /wAB" {
		t.Errorf("sse: %q", got)
	}
}

// One connection hears several channels, each once.
func TestSeveralChannels(t *testing.T) {
	n := start(t, server.Options{})
	c := n.ws("/ws?channel=a&channel=b&channel=a")
	n.publish("a", "1")
	if got := read(t, c); got != "[a] 1" {
		t.Error(got)
	}
	n.publish("b", "2")
	if got := read(t, c); got != "[b] 2" {
		t.Error(got)
	}
}

// %61 and a are one channel; a%2Fb and a/b too; a%252Fb is another.
func TestChannelNamesAreUnescapedOnce(t *testing.T) {
	n := start(t, server.Options{})
	a, slash, percent := n.ws("/ws/%61"), n.ws("/ws/a%2Fb"), n.ws("/ws/a%252Fb")
	n.publish("a", "1")
	n.publish("a/b", "2")
	n.publish("a%252Fb", "3")
	for _, c := range []struct {
		conn *websocket.Conn
		want string
	}{{a, "[a] 1"}, {slash, "[a/b] 2"}, {percent, "[a%2Fb] 3"}} {
		if got := read(t, c.conn); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// However many clients join a channel at the same instant, each hears every
// message exactly once.
func TestJoiningTogetherDoublesNothing(t *testing.T) {
	n := start(t, server.Options{})
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		conns := make([]*websocket.Conn, 64)
		var wg sync.WaitGroup
		for i := range conns {
			wg.Go(func() {
				c, err := n.dial("/ws/rush")
				if err != nil {
					t.Error(err)
					return
				}
				conns[i] = c
			})
		}
		wg.Wait()
		if t.Failed() {
			return
		}
		n.publish("rush", "1")
		n.publish("rush", "2")
		for _, c := range conns {
			if got := read(t, c) + read(t, c); got != "[rush] 1[rush] 2" {
				t.Fatal("heard", got)
			}
			_ = c.Close()
		}
	}
}

// What is published right after an open is heard.
func TestOpenMeansSubscribed(t *testing.T) {
	t.Parallel()
	openThenPublish(t, start(t, server.Options{}))
}

func openThenPublish(t *testing.T, n *node) {
	times := 10_000
	if testing.Short() {
		times = 500
	}
	for range times {
		c, err := n.dial("/ws/open?format=raw")
		if err != nil {
			t.Fatal(err)
		}
		n.publish("open", "now")
		if got := read(t, c); got != "now" {
			t.Fatal("heard", got)
		}
		_ = c.Close()
	}
}

// Two servers on one backend: clients of both hear what is published at either.
func TestTwoNodes(t *testing.T) {
	bus := memory.NewBus()
	b1, b2 := bus.Broker(), bus.Broker()
	t.Cleanup(func() { _ = b1.Close(); _ = b2.Close() })
	one, two := start(t, server.Options{Broker: b1}), start(t, server.Options{Broker: b2})
	c1, c2 := one.ws("/ws/x"), two.ws("/ws/x")
	one.publish("x", "from one")
	two.publish("x", "from two")
	for _, c := range []*websocket.Conn{c1, c2} {
		if got := read(t, c) + read(t, c); got != "[x] from one[x] from two" {
			t.Error(got)
		}
	}
}

// A server that stops tells its clients to come back: 1001, or the stream's end.
func TestStopTellsClients(t *testing.T) {
	n := start(t, server.Options{})
	c, events := n.ws("/ws/x"), n.sse("/sse/x")
	n.publish("x", "last")
	done := make(chan struct{})
	go func() { defer close(done); n.stop() }()
	if got := read(t, c); got != "[x] last" {
		t.Error(got)
	}
	_, err := readErr(c)
	var ce *websocket.CloseError
	if !errors.As(err, &ce) || ce.Code != websocket.CloseGoingAway {
		t.Errorf("WebSocket ended with %v", err)
	}
	if got := events.event(); got != "data: last" {
		t.Error(got)
	}
	if rest, err := events.ReadString(0); err == nil || strings.Contains(rest, "data") {
		t.Errorf("event stream went on: %q %v", rest, err)
	}
	_ = events.resp.Body.Close()
	<-done
}
