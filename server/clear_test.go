package server_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

func keeping() server.Options {
	return server.Options{Broker: memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()}
}

// delete returns the status and the body of the answer to DELETE.
func (n *node) delete(path string) (int, string) {
	n.t.Helper()
	resp, body := n.raw(get("DELETE " + path))
	if resp == nil {
		n.t.Fatal("no answer")
	}
	return resp.StatusCode, body
}

// Clients that listen, at any node, are told a gap in the place where the history was
// cleared and hear what comes then; a client that comes back with a cursor from before is
// not told that it has recovered; nothing from before is read; and a cleared channel, or one
// that was never used, is cleared without an error.
func TestClientsAreToldOfClearing(t *testing.T) {
	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute})
	redis := redistest.Start(t)
	for name, nodes := range map[string][2]server.Options{
		"memory": {{Broker: bus.Broker()}, {Broker: bus.Broker()}},
		"redis":  {onHistory(t, redis.URL()), onHistory(t, redis.URL())},
	} {
		t.Run(name, func(t *testing.T) { clears(t, start(t, nodes[0]), start(t, nodes[1])) })
	}
}

// clears clears at n what was heard at other.
func clears(t *testing.T, n, other *node) {
	c := other.ws("/ws/a%2Fb?format=json")
	n.publish("a/b", "1")
	n.publish("other", "stays")
	heard := []string{readEvent(t, c).Data}
	old := n.history("/history/a/b").Next
	for range 2 {
		if status, body := n.delete("/history/a/b"); status != http.StatusNoContent || body != "" {
			t.Fatal(status, body)
		}
	}
	n.publish("a/b", "2")
	for heard[len(heard)-1] != "2" {
		e := readEvent(t, c)
		if e.Type == "message" {
			heard = append(heard, e.Data)
		} else {
			heard = append(heard, e.Type)
		}
	}
	if got := strings.Join(slices.Compact(heard), " "); got != "1 gap 2" {
		t.Error(got)
	}
	for _, asked := range []*node{n, other} {
		if a := asked.history("/history/a/b?since=" + old); a.Complete || len(a.Messages) != 1 || a.Messages[0].Data != "2" {
			t.Errorf("%+v", a)
		}
		if a := asked.history("/history/a/b"); len(a.Messages) != 1 {
			t.Errorf("%+v", a)
		}
		if a := asked.history("/history/other"); len(a.Messages) != 1 {
			t.Errorf("%+v", a)
		}
		if told := asked.sse("/sse/a%2Fb?format=json&since=" + old).event(); !strings.Contains(told, `"recovered":false`) {
			t.Error(told)
		}
	}
	if status, _ := n.delete("/history/never"); status != http.StatusNoContent {
		t.Error(status)
	}
}

// A muteClearer keeps a history and does not answer when it is to be cleared.
type muteClearer struct {
	*past
	err error
}

func (m muteClearer) Clear(context.Context, string) error { return m.err }

// What cannot be cleared gets a problem that says why.
func TestClearingProblems(t *testing.T) {
	uncertain := errors.Join(broker.ErrUncertain, errors.New("s3cret"))
	for _, c := range []struct {
		broker     broker.Broker
		path, code string
		status     int
	}{
		{memory.New(), "/history/a", "no_history", 404},
		{newPast(1), "/history/a", "cannot_clear", 501},
		{muteClearer{newPast(1), uncertain}, "/history/a", "broker_unavailable", 503},
		{muteClearer{newPast(1), context.DeadlineExceeded}, "/history/a", "broker_unavailable", 503},
		{muteClearer{newPast(1), broker.ErrDenied}, "/history/a", "broker_denied", 403},
		{muteClearer{newPast(1), errors.New("s3cret")}, "/history/a", "internal", 500},
		{muteClearer{newPast(1), nil}, "/history/", "not_found", 404},
		{muteClearer{newPast(1), nil}, "/history/__a", "channel_reserved", 403},
		{muteClearer{newPast(1), nil}, "/history/a//b", "bad_channel", 400},
		{muteClearer{newPast(1), nil}, "/history/a?since=x", "bad_query", 400},
	} {
		n := start(t, server.Options{Broker: c.broker})
		status, body := n.delete(c.path)
		var p struct{ Code, Detail string }
		if err := json.Unmarshal([]byte(body), &p); err != nil || status != c.status || p.Code != c.code || strings.Contains(body, "s3cret") {
			t.Errorf("%s: %d %s, want %d %s", c.path, status, body, c.status, c.code)
		}
		if p.Code == "broker_unavailable" && !strings.Contains(p.Detail, "may or may not have been cleared") {
			t.Error(p.Detail)
		}
		n.stop()
		_ = c.broker.Close()
	}
}

// HEAD and POST are no methods of a history, and pages are told which are.
func TestClearingBesideOtherMethods(t *testing.T) {
	o := keeping()
	o.Hooks.OnClear = func(_ context.Context, _ transport.Identity, channel string) error {
		if channel == "kept" {
			return errors.New("s3cret")
		}
		return nil
	}
	o.AllowOrigins = []string{"https://app.example"}
	h := handler(t, o)
	for _, method := range []string{"HEAD", "POST", "PUT"} {
		if resp := ask(h, method, "/history/a"); resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "OPTIONS, DELETE, GET" {
			t.Error(method, resp)
		}
	}
	resp := ask(h, "OPTIONS", "/history/a", "Origin", "https://app.example", "Access-Control-Request-Method", "DELETE")
	if resp.Header.Get("Access-Control-Allow-Methods") != "GET, DELETE" || resp.Header.Get("Allow") != "GET, DELETE, OPTIONS" {
		t.Error(resp)
	}
	if resp := ask(h, "DELETE", "/history/a", "Origin", "https://evil.example"); resp.StatusCode != http.StatusForbidden {
		t.Error(resp)
	}
	if resp := ask(h, "DELETE", "/history/a", "Origin", "https://app.example"); resp.StatusCode != http.StatusNoContent {
		t.Error(resp)
	}
	if resp := ask(h, "DELETE", "/history/kept"); resp.StatusCode != http.StatusForbidden {
		t.Error("OnClear has refused:", resp)
	}
}
