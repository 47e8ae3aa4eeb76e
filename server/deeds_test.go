package server_test

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/transport"
)

// A deed is something that happens to a server, and moves figures.
type deed struct {
	name    string
	options server.Options
	history bool                 // it needs one
	broker  func() broker.Broker // else the one in memory
	kit     *tokentest.Kit       // of tokens; nil where it takes none
	do      func(n *node)
	moves   map[string]float64 // by how much
	least   map[string]float64 // by how much at least
}

// stale are tokens that have expired.
var stale = tokentest.NewKit(time.Now().Add(-48 * time.Hour))

var deeds = []deed{
	{
		name: "clients of each transport connect",
		do: func(n *node) {
			n.ws("/ws/a")
			n.ws("/ws/a")
			n.sse("/sse/a")
			n.ws("/live?channel=a")
			n.hear("a")
		},
		moves: map[string]float64{
			`pregon_connections{transport="ws"}`: 2, `pregon_connections{transport="sse"}`: 1,
			`pregon_connections{transport="live"}`: 1, `pregon_connections{transport="local"}`: 1,
		},
	},
	{
		name: "a client goes away",
		do:   func(n *node) { _ = n.ws("/ws/a").Close() },
		moves: map[string]float64{
			`pregon_connections{transport="ws"}`: 0, "pregon_deliveries_total": 0, "pregon_queue_bytes": 0,
		},
	},
	{
		name: "three clients hear two messages",
		do: func(n *node) {
			for range 3 {
				n.ws("/ws/a?format=raw")
			}
			n.publish("a", "12345")
			n.publish("a", "67890")
		},
		moves: map[string]float64{"pregon_deliveries_total": 6, "pregon_sent_bytes_total": 6 * (2 + 5), "pregon_messages_heard_total": 2},
	},
	{
		name: "one client hears two messages",
		do: func(n *node) {
			n.ws("/ws/a")
			n.publish("a", "1")
			n.publish("a", "2")
		},
		moves: map[string]float64{"pregon_delivery_duration_seconds_count": 2, "pregon_publish_duration_seconds_count": 2},
	},
	{
		name: "a client is fed from the history", history: true,
		do: func(n *node) {
			n.publish("a", "12345")
			n.ws("/ws/a?format=raw&history=1")
		},
		moves: map[string]float64{"pregon_deliveries_total": 1, "pregon_sent_bytes_total": 2 + 5},
	},
	{
		name: "clients come back, one with a position and one with one that is not known", history: true,
		do: func(n *node) {
			n.ws("/ws/a?format=json&since=" + n.publishedAt("a", "1"))
			n.ws("/ws/a?format=json&since=" + transport.Cursor("a", broker.Position{Epoch: 99, Seq: 1}))
		},
		moves: map[string]float64{`pregon_resumes_total{verdict="recovered"}`: 1, `pregon_resumes_total{verdict="not_recovered"}`: 1},
	},
	{
		name: "a broker loses messages, for a reason of the field's, one of its own, and as a history was cleared", broker: func() broker.Broker { return newScripted() },
		do: func(n *node) {
			c := n.ws("/ws/a?format=json")
			q, _ := n.broker.(*scripted).state()
			for _, reason := range []broker.GapReason{broker.Overrun, "a whim", "another", broker.Cleared} {
				q.Gap(reason, "a")
				read(n.t, c)
			}
		},
		moves: map[string]float64{
			`pregon_gaps_total{reason="overrun"}`: 1, `pregon_gaps_total{reason="other"}`: 2,
			`pregon_gaps_total{reason="not-retained"}`: 1, `pregon_gaps_total{reason="link-lost"}`: 0,
		},
	},
	{
		name: "the link to the broker is lost and restored", broker: func() broker.Broker { return &linked{Broker: memory.New()} },
		do:    func(n *node) { n.broker.(*linked).restored.Add(3) },
		moves: map[string]float64{"pregon_broker_link_restored_total": 3, "pregon_broker_link_up": 0},
	},
	{
		name: "the link to the broker is lost", broker: func() broker.Broker { return &linked{Broker: memory.New()} },
		do:    func(n *node) { n.broker.(*linked).down.Store(true) },
		moves: map[string]float64{"pregon_broker_link_restored_total": 0, "pregon_broker_link_up": -1},
	},
	{
		name: "the subscription loses a message that is in the history", broker: func() broker.Broker { return newPast(100) },
		do: func(n *node) {
			c := n.ws("/ws/a")
			n.publish("a", "1")
			n.broker.(*past).lose("a")
			n.publish("a", "3")
			for range 3 {
				read(n.t, c)
			}
		},
		moves: map[string]float64{"pregon_fills_total": 1, "pregon_messages_unkept_total": 0},
		least: map[string]float64{"pregon_messages_filled_total": 1}, // and what came meanwhile
	},
	{
		name: "another program publishes beside the history", broker: func() broker.Broker { return newPast(100) },
		do: func(n *node) {
			c := n.ws("/ws/a")
			if _, err := n.broker.(*past).Broker.Publish(n.t.Context(), broker.Message{Channel: "a", Data: []byte("x")}); err != nil {
				n.t.Error(err)
			}
			read(n.t, c)
		},
		moves: map[string]float64{"pregon_messages_unkept_total": 1},
	},
	{
		name: "messages claim what they cannot prove", broker: func() broker.Broker { return &linked{Broker: memory.New()} },
		do:    func(n *node) { n.broker.(*linked).rejected.Add(2) },
		moves: map[string]float64{"pregon_messages_rejected_total": 2},
	},
	{
		name: "a request waits for news", history: true,
		do:    func(n *node) { n.historyLater("/history/a?wait=60s") },
		moves: map[string]float64{"pregon_waiting_requests": 1, "pregon_channels": 1},
	},
	{
		name: "one client more than there is room for", options: server.Options{MaxConnections: 1},
		do: func(n *node) {
			n.ws("/ws/a")
			if _, err := n.dial("/ws/a"); err == nil {
				n.t.Error("it was let in")
			}
		},
		moves: map[string]float64{"pregon_connections_refused_total": 1, `pregon_refusals_total{code="too_many_connections"}`: 1},
	},
	{
		name: "a stranger publishes too fast", options: server.Options{Limits: server.Limits{PublishRate: access.Rate{Events: 1, Per: time.Hour}}},
		do: func(n *node) {
			n.publish("a", "1")
			n.post("/publish/a", "text/plain", "2")
		},
		moves: map[string]float64{
			"pregon_publications_refused_total": 1, `pregon_refusals_total{code="too_fast"}`: 1,
			`pregon_publishes_total{outcome="refused"}`: 1, `pregon_publishes_total{outcome="published"}`: 1,
		},
	},
	{
		name: "more bodies are under way than there is room for", options: server.Options{MaxMessage: 64 << 10, MaxBodies: 1 << 20},
		do: func(n *node) {
			long := strings.Repeat("x", 60<<10)
			for range 60 { // of which 44 KiB each count, and the last byte does not come
				c, err := net.Dial("tcp", n.addr)
				if err != nil {
					n.t.Fatal(err)
				}
				n.t.Cleanup(func() { _ = c.Close() })
				_, _ = fmt.Fprintf(c, "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s", len(long), long[1:])
			}
			for status := 200; status == 200; { // until as many as can have come
				status, _ = n.post("/publish/a", "text/plain", long)
			}
		},
		least: map[string]float64{"pregon_bodies_bytes": 1 << 19, "pregon_bodies_refused_total": 1, `pregon_refusals_total{code="too_many_bodies"}`: 1},
	},
	{
		name: "a token has expired", kit: stale,
		do: func(n *node) {
			n.raw("GET /sse/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer " + stale.HS256(stale.Claims()) + "\r\n\r\n")
		},
		moves: map[string]float64{`pregon_tokens_refused_total{reason="expired"}`: 1, `pregon_refusals_total{code="unauthorized"}`: 1},
	},
	{
		name: "a client names itself in a channel", history: true,
		do: func(n *node) {
			c := n.ws("/live")
			if err := c.WriteMessage(websocket.TextMessage, []byte(`{"type":"subscribe","channel":"a","presence":true,"member":{"sub":"ana"}}`)); err != nil {
				n.t.Error(err)
			}
		},
		moves: map[string]float64{"pregon_presence_members": 1, "pregon_presence_nodes_different": 0},
		least: map[string]float64{"pregon_presence_nodes": 0},
	},
	{
		name: "a client that reads nothing is disconnected", options: server.Options{QueueBytes: 64 << 10},
		do:    func(n *node) { n.flood() },
		moves: map[string]float64{`pregon_slow_clients_total{outcome="disconnected"}`: 1},
	},
	{
		name: "a client that reads nothing misses messages", options: server.Options{QueueBytes: 64 << 10, DropOldest: true},
		do:    func(n *node) { n.flood() },
		least: map[string]float64{"pregon_slow_clients_messages_dropped_total": 1},
	},
	{
		name: "a client that reads nothing is to catch up", options: server.Options{QueueBytes: 64 << 10, CatchUp: true}, history: true,
		do:    func(n *node) { n.flood() },
		least: map[string]float64{`pregon_slow_clients_total{outcome="caught_up"}`: 1},
	},
	{
		name: "a client that takes nothing is given up", options: server.Options{QueueBytes: 64 << 20, WriteTimeout: 100 * time.Millisecond},
		do:    func(n *node) { n.flood() },
		moves: map[string]float64{`pregon_slow_clients_total{outcome="stalled"}`: 1},
	},
	{
		name:  "a client reads nothing of what is more than the system takes",
		do:    func(n *node) { n.flood() },
		least: map[string]float64{"pregon_queue_bytes": 1 << 10},
	},
	{
		name: "a stranger asks for what is not there, and a page of another site listens",
		do: func(n *node) {
			n.get("/nothing")
			n.raw("GET /sse/a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://other.example\r\nConnection: close\r\n\r\n")
		},
		moves: map[string]float64{`pregon_refusals_total{code="other"}`: 1, `pregon_refusals_total{code="origin_not_allowed"}`: 1},
	},
}

// Each deed moves the figures that stand for it, and by how much it happened.
func TestDeedsMoveFigures(t *testing.T) {
	for _, d := range deeds {
		t.Run(d.name, func(t *testing.T) {
			o := d.options
			o.Hosts = []string{} // or the figures would need a key
			if d.history {
				b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: patience}).Broker()
				t.Cleanup(func() { _ = b.Close() })
				o.Broker = b
			}
			if d.broker != nil {
				o.Broker = d.broker()
				t.Cleanup(func() { _ = o.Broker.Close() })
			}
			if d.kit != nil {
				o.Access = granting(t, d.kit)
			}
			n := start(t, o)
			n.broker = o.Broker
			before := n.figures()
			d.do(n)
			var name string
			var by float64
			defer func() {
				if t.Failed() {
					t.Errorf("%s has moved by %v, not by %v", name, n.moved(name, before), by)
				}
			}()
			for name, by = range d.moves {
				eventually(t, func() bool { return n.moved(name, before) == by })
			}
			for name, by = range d.least {
				eventually(t, func() bool { return n.moved(name, before) >= by })
			}
		})
	}
}

// figures returns what /metrics shows, by series.
func (n *node) figures() map[string]float64 {
	_, shown := n.get("/metrics")
	all := map[string]float64{}
	for line := range strings.Lines(shown) {
		series, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		if value, err := strconv.ParseFloat(text, 64); err == nil && series != "#" {
			all[series] = value
		}
	}
	return all
}

// moved returns by how much a figure has moved, which is to be shown.
func (n *node) moved(name string, before map[string]float64) float64 {
	n.t.Helper()
	now, shown := n.figures()[name]
	if !shown {
		n.t.Fatalf("%s is not shown", name)
	}
	return now - before[name]
}

// hear has the program itself listen.
func (n *node) hear(channel string) {
	n.t.Helper()
	s, err := n.server.Subscribe(context.Background(), transport.Identity{}, transport.Subscription{Channel: channel})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(s.Close)
}

// A linked broker says of its link what a test says.
type linked struct {
	broker.Broker
	down     atomic.Bool
	restored atomic.Uint64
	rejected atomic.Uint64
}

func (l *linked) Link() broker.Link {
	return broker.Link{Up: !l.down.Load(), Restored: l.restored.Load()}
}

// Rejected is another capability.
func (l *linked) Rejected() uint64 { return l.rejected.Load() }

// flood publishes more than the system takes for a client that reads nothing.
func (n *node) flood() {
	n.t.Helper()
	_ = n.ws("/ws/a?format=json").NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
	for range 32 {
		n.publish("a", strings.Repeat("x", 256<<10))
	}
}

// lose keeps a message that no feed brings.
func (p *past) lose(channel string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seq[channel]++
	at := broker.Position{Epoch: epoch, Seq: p.seq[channel]}
	p.kept[channel] = append(p.kept[channel], broker.Message{Channel: channel, Data: []byte("lost"), Position: at, Prev: at.Previous()})
}

// still are figures that nothing moves: limits, and what the build and the certificate are.
var still = regexp.MustCompile(`_limit|^pregon_build_info|^pregon_certificate_|^pregon_ready$`)

// No figure is dead: each is moved by a deed.
func TestEachFigureHasADeed(t *testing.T) {
	moved := map[string]bool{}
	for _, d := range deeds {
		for _, moves := range []map[string]float64{d.moves, d.least} {
			for series := range moves {
				name, _, _ := strings.Cut(series, "{")
				moved[name] = true
			}
		}
	}
	for series := range start(t, server.Options{Broker: &linked{Broker: memory.New()}, Hosts: []string{}}).figures() {
		name, _, _ := strings.Cut(series, "{")
		if !strings.HasPrefix(name, "pregon_") || strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_bucket") {
			continue
		}
		if !moved[name] && !still.MatchString(name) {
			t.Errorf("no deed moves %s", name)
		}
	}
}
