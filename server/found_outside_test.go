package server_test

import (
	"encoding/json"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// An event is what a client of format=json reads.
type jsonEvent struct {
	Type, Channel, ID, Data, Reason string
	Recovered                       bool
}

func readEvent(t testing.TB, c *websocket.Conn) (e jsonEvent) {
	t.Helper()
	if err := json.Unmarshal([]byte(read(t, c)), &e); err != nil {
		t.Fatal(err)
	}
	return e
}

// publishedAt publishes text and returns its cursor.
func (n *node) publishedAt(channel, text string) string {
	n.t.Helper()
	status, body := n.post("/publish/"+channel, "text/plain", text)
	var receipt struct{ ID string }
	if err := json.Unmarshal([]byte(body), &receipt); status != 200 || err != nil || receipt.ID == "" {
		n.t.Fatalf("publish: %d %s", status, body)
	}
	return receipt.ID
}

// resumed is what a client is told that continues from a cursor.
func (n *node) resumed(channel, since string) (recovered bool) {
	n.t.Helper()
	e := readEvent(n.t, n.ws("/ws/"+channel+"?format=json&since="+since))
	if e.Type != "subscribed" {
		n.t.Fatalf("told %+v", e)
	}
	return e.Recovered
}

// Nobody is told that it recovered over a message that another program has published
// beside the history; a client that continues behind it is. The past says likewise.
func TestFoundOutsideTheHistory(t *testing.T) {
	redis := redistest.Start(t)
	one := start(t, server.Options{Broker: open(t, redis.URL()+"?history=5m")})
	other := start(t, server.Options{Broker: open(t, redis.URL()+"?history=5m")})
	listener := one.ws("/ws/chat?format=json")
	before := one.publishedAt("chat", "before")
	readEvent(t, listener)
	for _, n := range []*node{one, other} {
		if !n.resumed("chat", before) || !n.history("/history/chat?since="+before).Complete {
			t.Error("not recovered though nothing happened")
		}
	}
	redis.MustDo("PUBLISH", "chat", "outside")
	if e := readEvent(t, listener); e.Data != "outside" || e.ID != "" {
		t.Fatalf("heard %+v", e)
	}
	if one.resumed("chat", before) {
		t.Error("recovered over what the node itself has heard")
	}
	one.publish("chat", "between")
	readEvent(t, listener)
	eventually(t, func() bool { return !other.resumed("chat", before) })
	c := other.ws("/ws/chat?since=" + before)
	if _, err := readErr(c); !websocket.IsCloseError(err, 4003) {
		t.Errorf("text: %v", err)
	}
	after := one.publishedAt("chat", "after")
	for _, n := range []*node{one, other} {
		for _, c := range []struct {
			since string
			whole bool
		}{{before, false}, {after, true}} {
			if got := n.history("/history/chat?since=" + c.since); got.Complete != c.whole {
				t.Errorf("/history: complete %v, want %v", got.Complete, c.whole)
			}
			if got := n.resumed("chat", c.since); got != c.whole {
				t.Errorf("recovered %v, want %v", got, c.whole)
			}
		}
		if got := n.history("/history/chat"); got.Complete {
			t.Error("/history of the newest, with one missing among them, is complete")
		}
	}
	s := other.ws("/ws/chat?format=json&since=" + before)
	for _, want := range []string{"", "between", "after"} {
		if e := readEvent(t, s); e.Data != want {
			t.Errorf("after not recovering: %+v, want %q", e, want)
		}
	}
}

// eventually waits for what another node does.
func eventually(t testing.TB, holds func() bool) {
	t.Helper()
	for range 10_000 {
		if holds() {
			return
		}
	}
	t.Fatal("it never became so")
}

// Where the link was lost in a channel known to have messages that are in no history,
// a gap is told, also where all that is in the history was filled in. In other
// channels nothing is.
func TestFoundOutsideMissed(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, redis.URL()+"?history=5m")})
	mixed, text, own := n.ws("/ws/mixed?format=json"), n.ws("/ws/mixed"), n.ws("/ws/own?format=json")
	before := n.publishedAt("mixed", "1")
	n.publish("own", "1")
	redis.MustDo("PUBLISH", "mixed", "outside")
	for _, want := range []string{"1", "outside"} {
		if e := readEvent(t, mixed); e.Data != want {
			t.Fatalf("heard %+v, want %q", e, want)
		}
		if got := read(t, text); got != "[mixed] "+want {
			t.Fatalf("heard %q", got)
		}
	}
	readEvent(t, own)
	for round := range 3 {
		redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		n.publish("mixed", "2")
		n.publish("own", "2")
		if e := readEvent(t, mixed); e.Type != "gap" || e.Reason != "link-lost" {
			t.Errorf("round %d: told %+v, want a gap", round, e)
		}
		if e := readEvent(t, mixed); e.Data != "2" {
			t.Errorf("round %d: then %+v", round, e)
		}
		if e := readEvent(t, own); e.Data != "2" {
			t.Errorf("round %d: in another channel %+v", round, e)
		}
	}
	if _, err := readErr(text); !websocket.IsCloseError(err, 4001) {
		t.Errorf("text: %v", err)
	}
	if n.resumed("mixed", before) {
		t.Error("recovered over a hole")
	}
}

// What other programs publish by the one command is kept like all else.
func TestFoundPublishByCommand(t *testing.T) {
	redis := redistest.Start(t)
	b := open(t, redis.URL()+"?history=5m")
	n := start(t, server.Options{Broker: b})
	c := n.ws("/ws/chat?format=json")
	before := n.publishedAt("chat", "before")
	readEvent(t, c)
	for _, command := range [][]string{
		{"FCALL", "pregon_publish", "1", "chat", "¡Hola!"}, {"EVAL", b.(broker.Scripter).PublishScript(), "1", "chat", "¡Hola!"},
	} {
		cursor := redis.MustDo(command...)
		if e := readEvent(t, c); e.Data != "¡Hola!" || e.ID != cursor {
			t.Errorf("%s: heard %+v, the reply was %q", command[0], e, cursor)
		}
		if !n.resumed("chat", before) || !n.resumed("chat", cursor) {
			t.Errorf("%s: not recovered", command[0])
		}
	}
}
