package transporttest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// guard bounds every wait.
var guard = 30 * time.Second

// waiting is the most that waits in one Socket.
var waiting = socket.Limits{Bytes: 256 << 10, Messages: 1 << 12, WriteTimeout: time.Hour, Linger: time.Hour}

// A fixture is what one test runs on. It is ended when the test is, and then checks that
// nothing is left and nothing was done that nobody asked for.
type fixture struct {
	*testing.T
	protocol  Protocol
	format    transport.Format
	history   bool
	broker    *faulty
	hub       *hub.Hub
	node      *node.Node
	transport transport.Transport
	sockets   *socket.Group
	listener  *listener
	web       *http.Server

	confirmed func() // called between a confirmation and what the Transport does then; may be nil

	mu      sync.Mutex
	doors   []*door
	peers   []*peer
	cursors map[string]string // of messages, by channel and text

	fed []string // what the messages begin with that overfeed has published
}

// newFixture makes one.
func newFixture(t *testing.T, p Protocol, format transport.Format, on setting) *fixture {
	f := &fixture{T: t, protocol: p, format: format, history: on.history, cursors: map[string]string{}}
	b := f.openBroker()
	logger := slog.New(slog.DiscardHandler)
	var err error
	if f.hub, err = hub.New(t.Context(), b, hub.Options{Logger: logger, Workers: 2, DropOldest: on.dropOldest}); err != nil {
		t.Fatal(err)
	}
	f.node = node.New(b, f.hub, node.Options{})
	f.sockets = socket.NewGroup(waiting)
	f.transport, err = p.New(transport.Deps{Sockets: f.sockets, Logger: logger, MaxInbound: 1 << 16})
	if err != nil {
		f.node.Close()
		f.hub.Close()
		t.Fatalf("the Transport was not made without Settings: %v", err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.listener = &listener{Listener: tcp}
	f.web = &http.Server{Handler: f, Protocols: new(http.Protocols), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: guard,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) },
		ConnState: func(c net.Conn, state http.ConnState) {
			if state == http.StateHijacked {
				c.(*conn).hijacked.Store(true)
			}
		},
	}
	f.web.Protocols.SetHTTP1(true)
	f.web.Protocols.SetUnencryptedHTTP2(true)
	served := make(chan error, 1)
	go func() { served <- f.web.Serve(f.listener) }()
	t.Cleanup(func() { f.end(served) })
	return f
}

type connKey struct{}

// openBroker opens the broker with the history that the test wants.
func (f *fixture) openBroker() broker.Broker {
	f.broker = &faulty{gates: map[string]*gate{}}
	if !f.history {
		f.broker.Broker = memory.New()
		return f.broker
	}
	f.broker.Broker = memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}).Broker()
	past, _ := broker.HistoryOf(f.broker.Broker)
	return keeping{f.broker, past}
}

// ServeHTTP does what a server does for a client that wants to listen.
func (f *fixture) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	d := f.door(n)
	if err != nil || d == nil {
		http.NotFound(w, r)
		return
	}
	d.begin(r.Context().Value(connKey{}).(*conn))
	if d.middleware != nil {
		w = d.middleware(w)
	}
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			d.note("Serve has panicked: %v", p)
			d.end(errors.New("a panic"), false)
		} else if p != nil {
			d.end(nil, false)
			panic(p)
		}
	}()
	err = f.transport.Serve(w, r, transport.SubscribeRequest{Subscriptions: slices.Clone(d.asked), Format: f.format, Client: d})
	d.end(err, r.Context().Err() != nil)
	var p *transport.Problem
	switch {
	case errors.As(err, &p):
		p.ServeHTTP(w, r)
	case err != nil:
		http.Error(w, "not subscribed", http.StatusServiceUnavailable)
	}
}

// door returns the nth door, nil where there is none.
func (f *fixture) door(n int) *door {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 0 || n >= len(f.doors) {
		return nil
	}
	return f.doors[n]
}

// publish publishes a message of a channel.
func (f *fixture) publish(channel, text string) broker.Position {
	f.Helper()
	return f.publishMessage(broker.Message{Channel: channel, Data: []byte(text)})
}

func (f *fixture) publishMessage(m broker.Message) broker.Position {
	f.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), guard)
	defer cancel()
	receipt, err := f.broker.Publish(ctx, m)
	if err != nil {
		f.Errorf("the suite cannot publish: %v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cursors[m.Channel+" "+string(m.Data)] = transport.Cursor(m.Channel, receipt.Position)
	return receipt.Position
}

// end ends everything in the order in which a server does, and checks that it can.
func (f *fixture) end(served <-chan error) {
	for _, p := range f.peers {
		_ = p.conn.Close()
	}
	for _, d := range f.doors {
		if !f.endDoor(d) {
			break // the others take as long to fail
		}
	}
	f.within("Wait did not return though all clients have gone", f.transport.Wait)
	_ = f.web.Close() // what it says is said by its listener
	<-served
	f.node.Close()
	f.hub.Close()
	f.within("something still writes to a client that has gone", f.sockets.Wait)
	f.within("a connection was not closed", f.listener.open.Wait)
	if err := f.broker.Close(); err != nil {
		f.Error(err)
	}
	for _, d := range f.doors {
		d.mu.Lock()
		for _, note := range slices.Compact(slices.Sorted(slices.Values(d.notes))) {
			f.Error(note)
		}
		d.mu.Unlock()
	}
}

// endDoor checks that nothing is left of a client that has gone, and that it was served
// through its own door.
func (f *fixture) endDoor(d *door) bool {
	d.mu.Lock()
	began, joins := d.conn != nil, d.joins
	d.mu.Unlock()
	if !began {
		return true
	}
	if !f.await(d.served, "Serve did not return though the client has gone") ||
		joins > 0 && !f.await(d.left, "a session did not leave though its client has gone") {
		return false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil && (d.joins != 1 || d.subscribed != len(d.asked)) {
		d.notes = append(d.notes, fmt.Sprintf("a client was served with %d sessions and %d of %d channels of its own request", d.joins, d.subscribed, len(d.asked)))
	}
	return true
}

// within calls what must return in time.
func (f *fixture) within(wrong string, call func()) {
	done := make(chan struct{})
	go func() { defer close(done); call() }()
	f.await(done, wrong)
}

// await waits for done.
func (f *fixture) await(done <-chan struct{}, wrong string) bool {
	f.Helper()
	select {
	case <-done:
		return true
	case <-time.After(guard):
		f.Errorf("%s, in %v", wrong, guard)
		return false
	}
}
