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
	since    map[string][]int // the first number that it must hear, in each of its stays in a channel
	heard    bytes.Buffer
}

// Whatever joins, leaves, stalls, pings and deaths come between the messages:
// a client hears each message of its channels once, in order, whole, from the moment
// that Subscribe returned to the moment that it unsubscribed or left, and nothing outside
// its stays, each of which begins with an answer and ends with a last word.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := memory.New()
		defer b.Close()
		h, err := hub.New(context.Background(), b, hub.Options{Workers: rapid.IntRange(1, 3).Draw(t, "workers"),
			UnsubscribeDelay: 1, PingInterval: 32e6, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		m := &model{t: t, hub: h, broker: b, encoding: &lines{}, sent: map[string]int{}}
		t.Repeat(map[string]func(*rapid.T){
			"join":    m.join,
			"publish": m.publish,
			"read":    m.read,
			"change":  m.change,
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
	encoding  answering
	sent      map[string]int // messages, by channel
	listeners []*listener
}

var channels = []string{"a", "b", "c"}

// patient are sockets that hold all that a run of the model can publish: nobody
// is too slow, however long it does not read.
var patient = socket.NewGroup(socket.Limits{Bytes: 1 << 30, Messages: 1 << 16, WriteTimeout: time.Hour, Linger: time.Hour})

func (m *model) join(t *rapid.T) {
	ours, peer := connection(t)
	s := patient.New()
	s.Attach(ours)
	l := &listener{t: t, ours: s, peer: peer, since: map[string][]int{}}
	session, err := open(context.Background(), m.hub, s, m.encoding, nil)
	if err != nil {
		t.Fatal("join:", err)
	}
	s.Uncork()
	l.session = session
	m.subscribe(l, rapid.SliceOfNDistinct(rapid.SampledFrom(channels), 1, 3, rapid.ID[string]).Draw(t, "channels")...)
	m.listeners = append(m.listeners, l)
}

// subscribe begins a stay of l in each of names.
func (m *model) subscribe(l *listener, names ...string) {
	var subs []transport.Subscription
	for _, name := range names {
		subs = append(subs, transport.Subscription{Channel: name, Answer: func(s transport.Subscribed) ([]byte, bool) {
			return fmt.Appendf(nil, "open %s\n", s.Channel), true
		}})
	}
	for i, err := range l.session.Subscribe(context.Background(), subs...) {
		if err != nil {
			l.t.Fatal("subscribe:", err)
		}
		l.channels = append(l.channels, names[i])
		l.since[names[i]] = append(l.since[names[i]], m.sent[names[i]])
	}
}

// change begins or ends a stay of a client.
func (m *model) change(t *rapid.T) {
	l := m.listeners[m.pick(t)]
	name := rapid.SampledFrom(channels).Draw(t, "channel")
	i := slices.Index(l.channels, name)
	if i < 0 {
		m.subscribe(l, name)
		return
	}
	l.channels = slices.Delete(l.channels, i, i+1)
	l.session.Unsubscribe(name, word("close "+name+"\n"))
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
		since := l.since[c]
		n += (m.sent[c] - since[len(since)-1]) * len("a 0 \n")
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
	a := newAccount(l)
	lines := bufio.NewReader(io.MultiReader(&l.heard, l.peer))
	for a.behind(m.sent) {
		line, err := lines.ReadString('\n')
		if err != nil {
			m.t.Fatal("read:", err)
		}
		if wrong := a.note(line); wrong != "" {
			m.t.Fatal(wrong)
		}
	}
	l.session.Leave()
	_ = l.peer.Close()
	_ = l.ours.Close()
}

// An account is what a listener has heard of what it is owed.
type account struct {
	*listener
	stays map[string]int  // that have begun
	in    map[string]bool // a stay is under way
	begun map[string]bool // and a message has come in it
	next  map[string]int  // the number after the last that came
}

func newAccount(l *listener) *account {
	return &account{l, map[string]int{}, map[string]bool{}, map[string]bool{}, map[string]int{}}
}

// note notes a line, and returns what is wrong with it.
func (a *account) note(line string) string {
	var c string
	var n int
	switch {
	case line == "ping\n":
		return ""
	case strings.HasPrefix(line, "open "):
		c = line[len("open ") : len(line)-1]
		if a.in[c] {
			return "a second answer in a stay in " + c
		}
		a.in[c], a.begun[c] = true, false
		a.stays[c]++
		return ""
	case strings.HasPrefix(line, "close "):
		c = line[len("close ") : len(line)-1]
		if !a.in[c] {
			return "the last word without a stay in " + c
		}
		a.in[c] = false
		return ""
	}
	if _, err := fmt.Sscanf(line, "%s %d", &c, &n); err != nil {
		return fmt.Sprintf("not a message: %.40q", line)
	}
	if !a.in[c] {
		return fmt.Sprintf("%s %d came outside of a stay", c, n)
	}
	since, due := a.since[c][a.stays[c]-1], a.next[c]
	if a.begun[c] && n != due || !a.begun[c] && (n > since || n < due) {
		return fmt.Sprintf("%s %d came, subscribed at %d, due is %d", c, n, since, due)
	}
	a.begun[c], a.next[c] = true, n+1
	return ""
}

// behind reports whether the listener has not heard all of its channels.
func (a *account) behind(sent map[string]int) bool {
	for _, c := range a.channels {
		since := a.since[c]
		if last := since[len(since)-1]; sent[c] > last && (a.stays[c] < len(since) || a.next[c] < sent[c]) {
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
