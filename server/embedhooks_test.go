package server_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// censor is a hook that refuses, in its own words or not, and changes all else.
func censor(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
	switch string(m.Data) {
	case "bad":
		return m, errors.New("s3cret")
	case "worse":
		return m, &transport.Problem{Status: http.StatusPaymentRequired, Code: "pay", Detail: "Pay first."}
	}
	if wrong, ok := wrongProblems[string(m.Data)]; ok {
		return m, wrong
	}
	m.Data = append([]byte("so: "), m.Data...)
	return m, nil
}

// wrongProblems cannot be answered with.
var wrongProblems = map[string]error{"none": (*transport.Problem)(nil), "without a status": &transport.Problem{}, "fine": &transport.Problem{Status: 200}}

// OnPublish has a say in every way to publish, and what it refuses is answered as it says,
// or as forbidden. Of a batch over HTTP nothing is published where one is refused.
func TestEmbedOnPublish(t *testing.T) {
	n := start(t, server.Options{Hooks: server.Hooks{OnPublish: censor}})
	c := n.ws("/ws/a?format=raw")
	for _, ask := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/publish/a", "bad", 403, `"code":"forbidden"`},
		{"/publish/a", "worse", 402, `"code":"pay"`},
		{"/publish/a", "none", 403, `"code":"forbidden"`},
		{"/publish/a", "without a status", 403, `"code":"forbidden"`},
		{"/publish/a", "fine", 403, `"code":"forbidden"`},
		{"/publish?channel=b&channel=a", "bad", 403, `"index":0,"outcomes":["not_published","not_published"],"published":0`},
		{"/publish", `[{"channel":"a","data":"1"},{"channel":"a","data":"worse"}]`, 402, `"index":1,"outcomes":["not_published","not_published"],"published":0`},
		{"/publish/a", "over HTTP", 200, `{"channel":"a"}`},
		{"/publish", `[{"channel":"a","data":"in"},{"channel":"a","data":"a batch"}]`, 200, "receipts"},
	} {
		kind := "text/plain"
		if ask.path == "/publish" {
			kind = "application/json"
		}
		status, body := n.post(ask.path, kind, ask.body)
		if status != ask.status || !strings.Contains(body, ask.says) || strings.Contains(body, "s3cret") {
			t.Errorf("%s %s: %d %s", ask.path, ask.body, status, body)
		}
	}
	for _, publish := range []func(context.Context, ...broker.Message) []broker.Result{n.server.Publish, n.server.Client(transport.Identity{}).Publish} {
		results := publish(t.Context(), broker.Message{Channel: "a", Data: []byte("bad")}, broker.Message{Channel: "a", Data: []byte("embedded")})
		if results[0].Err == nil || results[1].Err != nil {
			t.Error(results)
		}
	}
	for _, want := range []string{"over HTTP", "in", "a batch", "embedded", "embedded"} {
		if got := read(t, c); got != "so: "+want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// A program sees how many clients there are, of which channel, and what happened.
func TestEmbedFigures(t *testing.T) {
	n := start(t, server.Options{Broker: newPast(10)})
	a := n.ws("/ws?channel=a&channel=b&format=raw")
	n.sse("/sse/a")
	answers := n.historyLater("/history/c?wait=60s")
	for n.server.Stats().Waiting == 0 {
		n.get("/healthz") // time passes
	}
	for channel, want := range map[string]int{"a": 2, "b": 1, "c": 0, "none": 0, "__pregon": 0} {
		if got := n.server.Subscribers(channel); got != want {
			t.Errorf("%s has %d subscribers, want %d", channel, got, want)
		}
	}
	n.publish("a", "1")
	read(t, a)
	if s := n.server.Stats(); s.Connections != 2 || s.Channels < 3 || s.Heard == 0 {
		t.Errorf("%+v", s)
	}
	n.publish("c", "2")
	<-answers
	_ = a.Close()
	for n.server.Subscribers("b") > 0 {
		n.get("/healthz")
	}
	if n.server.Subscribers("a") != 1 {
		t.Error(n.server.Subscribers("a"))
	}
}

// A client that OnSubscribe refuses is told so before it is connected, and cannot read the
// past of the channel either. OnLeave is told when a client has gone.
func TestEmbedOnSubscribe(t *testing.T) {
	gone := make(chan string, 10)
	n := start(t, server.Options{Broker: newPast(10), Hooks: server.Hooks{
		OnSubscribe: func(_ context.Context, _ transport.Identity, channel string) error {
			switch channel {
			case "closed":
				return errors.New("s3cret")
			case "busy":
				return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: 7, Detail: "Not now."}
			}
			return nil
		},
		OnLeave: func(_ transport.Identity, channel string) { gone <- channel },
	}})
	for path, says := range map[string]string{
		"/ws/closed": "forbidden", "/ws?channel=a&channel=closed": "forbidden", "/sse/closed": "forbidden",
		"/history/closed": "forbidden", "/history/closed?wait=1s": "forbidden",
		"/ws/busy": "busy", "/sse/busy": ": 503 busy: Not now.", "/history/busy": "busy",
	} {
		if strings.HasPrefix(path, "/ws") {
			if _, err := n.dial(path); err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("%s: %v", path, err)
			}
		} else if _, body := n.raw(get("GET " + path)); !strings.Contains(body, says) || strings.Contains(body, "s3cret") {
			t.Errorf("%s: %s", path, body)
		}
	}
	if channel := <-gone; channel != "a" || len(gone) > 0 {
		t.Error(channel, "and others", len(gone))
	}
	c := n.ws("/ws?channel=a&channel=b")
	if len(gone) > 0 {
		t.Error(<-gone)
	}
	_ = c.Close()
	left := []string{<-gone, <-gone}
	if slices.Sort(left); left[0] != "a" || left[1] != "b" {
		t.Error(left)
	}
}
