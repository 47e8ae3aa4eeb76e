package live_test

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/live"
	"github.com/pregon/pregon/transport/live/livetest"
	"github.com/pregon/pregon/transport/ws"
)

// A tally counts how often messages are encoded, whatever the transport: it puts a counted Encoding in the
// place of each one that joins.
type tally struct {
	messages atomic.Int64
	mu       sync.Mutex
	counted  map[transport.Encoding]transport.Encoding
}

func (t *tally) encoding(e transport.Encoding) transport.Encoding {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counted[e] == nil {
		t.counted[e] = &countedEncoding{e, t}
	}
	return t.counted[e]
}

type countedEncoding struct {
	transport.Encoding
	tally *tally
}

func (c *countedEncoding) Message(m broker.Message) []byte {
	c.tally.messages.Add(1)
	return c.Encoding.Message(m)
}

type countedClient struct {
	transport.Client
	tally *tally
}

func (c countedClient) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	s.Encoding = c.tally.encoding(s.Encoding)
	return c.Client.Join(ctx, s)
}

type countedWS struct {
	*ws.Transport
	tally *tally
}

func (c countedWS) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	wanted.Client = countedClient{wanted.Client, c.tally}
	return c.Transport.Serve(w, r, wanted)
}

type countedLive struct {
	*live.Transport
	tally *tally
}

func (c countedLive) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	wanted.Client = countedClient{wanted.Client, c.tally}
	return c.Transport.Serve(w, r, wanted)
}

// With clients of /live and of /ws?format=json on one channel each message is encoded once, and all
// are sent the same.
func TestEachMessageIsEncodedOnce(t *testing.T) {
	t.Parallel()
	count := &tally{counted: map[transport.Encoding]transport.Encoding{}}
	n := start(t, server.Options{Transports: map[string]transport.Maker{
		"countedws":   func(d transport.Deps) (transport.Transport, error) { return countedWS{ws.New(d), count}, nil },
		"countedlive": func(d transport.Deps) (transport.Transport, error) { return countedLive{live.New(d), count}, nil },
	}})
	var clients []*livetest.Client
	for range 3 {
		clients = append(clients, livetest.Dial(t, "ws://"+n.addr+"/countedws/a?format=json", ""))
		c := livetest.Dial(t, "ws://"+n.addr+"/countedlive/a", "")
		expect(t, c, `{"type":"welcome"`)
		expect(t, c, `{"type":"subscribed"`)
		clients = append(clients, c)
	}
	for i := range 10 {
		n.publish("a", fmt.Sprint(i))
	}
	for i := range 10 {
		got := clients[0].Next()
		expect(t, clients[0]) // nothing else
		for _, c := range clients[1:] {
			if other := c.Next(); other != got {
				t.Errorf("message %d is %s and %s", i, got, other)
			}
		}
	}
	if encoded := count.messages.Load(); encoded != 10 {
		t.Errorf("10 messages were encoded %d times", encoded)
	}
}

// An idle connection with one channel costs at most a KiB more than one of /ws.
func TestIdleConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector has memory of its own")
	}
	const many = 400
	n := start(t, server.Options{Broker: memory.New()})
	cost := func(path string) int {
		before := inUse()
		conns := make([]*websocket.Conn, many)
		for i := range conns {
			c := livetest.Dial(t, fmt.Sprintf("ws://%s%s/c%d", n.addr, path, i), "")
			if path == "/live" {
				expect(t, c, `{"type":"welcome"`)
				expect(t, c, `{"type":"subscribed"`)
			}
			conns[i] = c.Conn
		}
		after := inUse()
		runtime.KeepAlive(conns)
		return (after - before) / many
	}
	cost("/ws") // what is made once
	cost("/live")
	ws, live := cost("/ws"), cost("/live")
	t.Logf("%d bytes for /ws, %d for /live", ws, live)
	if live > ws+1024 {
		t.Errorf("an idle connection of /live costs %d bytes, and one of /ws %d", live, ws)
	}
}

// inUse returns the bytes of the heap and the stacks.
func inUse() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}
