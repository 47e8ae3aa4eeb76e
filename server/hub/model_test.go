package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A listener is a client of the model: what it joined, and what it is owed.
type listener struct {
	t        *rapid.T
	session  transport.Session
	ours     net.Conn
	peer     net.Conn
	channels []string
	since    map[string]int // the first number that it must hear
	heard    bytes.Buffer
}

// Whatever joins, leaves, stalls, pings and deaths come between the messages:
// whoever is joined hears each message of its channels once, in order, whole,
// from the moment that Join returned to the moment that it left.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := memory.New()
		defer b.Close()
		h, err := hub.New(context.Background(), b, hub.Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers"),
			Linger: 1, PingInterval: 32e6, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		m := &model{t: t, hub: h, broker: b, encoding: &lines{}, sent: map[string]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"join":    m.join,
			"publish": m.publish,
			"read":    m.read,
			"leave":   m.leave,
			"die":     m.die,
		})
		for len(m.listeners) > 0 {
			m.finish(0)
		}
	})
	patient.Wait()
}

type model struct {
	t         *rapid.T
	hub       *hub.Hub
	broker    broker.Broker
	encoding  transport.Encoding
	sent      map[string]int // messages, by channel
	listeners []*listener
}

var channels = []string{"a", "b", "c"}

// patient are sockets that hold all that a run of the model can publish: nobody
// is too slow, however long it does not read.
var patient = socket.NewGroup(socket.Limits{Bytes: 1 << 30, Messages: 1 << 16, Stall: time.Hour, Linger: time.Hour})

func (m *model) join(t *rapid.T) {
	ours, peer := connection(t)
	s := patient.New()
	s.Attach(ours)
	l := &listener{t: t, ours: s, peer: peer, since: map[string]int{}}
	l.channels = rapid.SliceOfNDistinct(rapid.SampledFrom(channels), 1, 3, rapid.ID[string]).Draw(t, "channels")
	session, err := m.hub.Join(context.Background(), transport.Subscriber{Socket: s, Encoding: m.encoding, Channels: slices.Clone(l.channels)})
	if err != nil {
		t.Fatal("join:", err)
	}
	s.Open()
	l.session = session
	for _, c := range l.channels {
		l.since[c] = m.sent[c]
	}
	m.listeners = append(m.listeners, l)
}

func (m *model) publish(t *rapid.T) {
	c := rapid.SampledFrom(channels).Draw(t, "channel")
	filling := strings.Repeat("x", rapid.SampledFrom([]int{0, 10, 5_000, 60_000}).Draw(t, "size"))
	for range rapid.IntRange(1, 5).Draw(t, "messages") {
		_, err := m.broker.Publish(context.Background(), broker.Message{Channel: c, Data: fmt.Appendf(nil, "%d %s", m.sent[c], filling)})
		if err != nil {
			t.Fatal("publish:", err)
		}
		m.sent[c]++
	}
}

// read reads some of what waits for somebody, who is behind otherwise.
func (m *model) read(t *rapid.T) {
	l := m.listeners[m.pick(t)]
	if missing := m.owed(l); missing > 0 {
		_, _ = io.CopyN(&l.heard, l.peer, int64(rapid.IntRange(1, missing).Draw(t, "bytes")))
	}
}

// owed returns how many bytes must still come, at least.
func (m *model) owed(l *listener) int {
	n := 0
	for _, c := range l.channels {
		n += (m.sent[c] - l.since[c]) * len("a 0 \n")
	}
	return n - l.heard.Len()
}

func (m *model) leave(t *rapid.T) { m.finish(m.pick(t)) }

// die is a client that goes without a word.
func (m *model) die(t *rapid.T) {
	i := m.pick(t)
	l := m.listeners[i]
	m.listeners = slices.Delete(m.listeners, i, i+1)
	_ = l.peer.Close()
	l.session.Leave()
	_ = l.ours.Close()
}

func (m *model) pick(t *rapid.T) int {
	if len(m.listeners) == 0 {
		t.Skip("nobody is there")
	}
	return rapid.IntRange(0, len(m.listeners)-1).Draw(t, "listener")
}

// finish checks that a listener gets what it is owed, and has it leave.
func (m *model) finish(i int) {
	l := m.listeners[i]
	m.listeners = slices.Delete(m.listeners, i, i+1)
	next := map[string]int{}
	lines := bufio.NewReader(io.MultiReader(&l.heard, l.peer))
	for l.behind(next, m.sent) {
		line, err := lines.ReadString('\n')
		if err != nil {
			m.t.Fatal("read:", err)
		}
		if line == "ping\n" {
			continue
		}
		var c string
		var n int
		if _, err := fmt.Sscanf(line, "%s %d", &c, &n); err != nil {
			m.t.Fatalf("not a message: %.40q", line)
		}
		due, begun := next[c]
		if !begun && n > l.since[c] || begun && n != due {
			m.t.Fatalf("%s %d came, joined at %d, due is %d", c, n, l.since[c], due)
		}
		next[c] = n + 1
	}
	l.session.Leave()
	_ = l.peer.Close()
	_ = l.ours.Close()
}

// behind reports whether l has not heard all of its channels.
func (l *listener) behind(next, sent map[string]int) bool {
	for _, c := range l.channels {
		if sent[c] > l.since[c] && next[c] < sent[c] {
			return true
		}
	}
	return false
}

// connection returns both ends of a connection with small buffers, so that writes
// are partial. A Unix socket has no timers that make small buffers slow.
func connection(t *rapid.T) (ours, peer net.Conn) {
	dir, err := os.MkdirTemp("", "hub")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if peer, err = net.Dial("unix", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if ours, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	_ = ours.(*net.UnixConn).SetWriteBuffer(4 << 10)
	return ours, peer
}
