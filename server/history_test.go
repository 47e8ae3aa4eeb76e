package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// withPast starts a node with a history.
func withPast(t *testing.T, keep int) (*node, *past) {
	t.Helper()
	p := newPast(keep)
	t.Cleanup(func() { _ = p.Close() })
	return start(t, server.Options{Broker: p, MaxMessage: 1024}), p
}

// at is the cursor of a message of a channel.
func at(channel string, seq uint64) string {
	return transport.Cursor(channel, broker.Position{Epoch: epoch, Seq: seq})
}

// beforeFirst is the cursor of a channel without messages.
func beforeFirst(channel string) string { return transport.Cursor(channel, transport.Outset) }

type pastAnswer struct {
	Channel        string
	Messages       []struct{ ID, Data, Encoding string }
	Complete, More bool
	Next           string
}

// history asks for a history and fails where the answer is not 200.
func (n *node) history(path string) pastAnswer {
	n.t.Helper()
	return <-n.historyLater(path)
}

// historyLater asks for a history that is yet to come.
func (n *node) historyLater(path string) <-chan pastAnswer {
	answers := make(chan pastAnswer, 1)
	go func() {
		var a pastAnswer
		defer func() { answers <- a }()
		resp, err := n.client.Get("http://" + n.addr + path)
		if err != nil {
			n.t.Error(err)
			return
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(&a); resp.StatusCode != http.StatusOK || err != nil {
			n.t.Errorf("%s: %s %v", path, resp.Status, err)
		}
	}()
	return answers
}

// From a cursor on a client reads exactly what came after it; without one the
// newest; and whatever it has is either complete or said not to be.
func TestHistory(t *testing.T) {
	n, p := withPast(t, 3)
	for i := range 5 {
		n.publish("c", fmt.Sprint(i+1))
		n.publish("gone", "x")
	}
	p.forget("gone")
	for _, c := range []struct {
		name, query    string
		want           string // data of the messages
		complete, more bool
		next           string
	}{
		{"newest", "/history/c", "345", true, false, at("c", 5)},
		{"newest one", "/history/c?limit=1", "5", true, true, at("c", 5)},
		{"the rest", "/history/c?since=" + at("c", 3), "45", true, false, at("c", 5)},
		{"in parts", "/history/c?limit=1&since=" + at("c", 3), "4", true, true, at("c", 4)},
		{"nothing new", "/history/c?since=" + at("c", 5), "", true, false, at("c", 5)},
		{"nothing new, no wait", "/history/c?wait=0s&since=" + at("c", 5), "", true, false, at("c", 5)},
		{"no longer kept", "/history/c?limit=2&since=" + at("c", 1), "34", false, true, at("c", 4)},
		{"the future", "/history/c?since=" + at("c", 99), "", false, false, at("c", 5)},
		{"of another channel", "/history/c?limit=2&since=" + at("d", 4), "34", false, true, at("c", 4)},
		{"of another channel, not waiting", "/history/c?wait=60s&since=" + at("d", 4), "345", false, false, at("c", 5)},
		{"all gone", "/history/gone", "", true, false, at("gone", 5)},
		{"all gone, cursor too", "/history/gone?wait=1ms&since=" + at("gone", 2), "", false, false, at("gone", 5)},
		{"never a message", "/history/empty", "", true, false, beforeFirst("empty")},
		{"before the first message", "/history/empty?wait=1ms&since=" + beforeFirst("empty"), "", false, false, beforeFirst("empty")},
		{"from before the first message", "/history/c?since=" + beforeFirst("c"), "345", false, false, at("c", 5)},
		{"never a message, but a cursor", "/history/empty?wait=1ms&since=" + at("empty", 4), "", false, false, beforeFirst("empty")},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := n.history(c.query)
			got := ""
			for _, m := range a.Messages {
				got += m.Data
			}
			if got != c.want || a.Complete != c.complete || a.More != c.more || a.Next != c.next || a.Messages == nil {
				t.Errorf("%+v", a)
			}
		})
	}
}

// The answer is what the contract says, to the letter.
func TestHistoryAnswer(t *testing.T) {
	n, _ := withPast(t, 10)
	n.publish("a/ñ", "<b>")
	n.post("/publish/a/ñ", "application/octet-stream", "\xff\x00")
	status, body := n.get("/history/a%2F%C3%B1")
	want := `{"channel":"a/ñ","messages":[{"id":"` + at("a/ñ", 1) + `","data":"<b>"},{"id":"` + at("a/ñ", 2) +
		`","data":"/wA=","encoding":"base64"}],"complete":true,"more":false,"next":"` + at("a/ñ", 2) + `"}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" || status != http.StatusOK {
		t.Error(status, diff)
	}
}

// A message says who published it as the json format does.
func TestHistoryAuthor(t *testing.T) {
	n, p := withPast(t, 10)
	_, err := p.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte("\xff"), By: &broker.Author{Subject: "<u1>", Session: "s1"}})
	if err != nil {
		t.Fatal(err)
	}
	status, body := n.get("/history/c")
	want := `{"channel":"c","messages":[{"id":"` + at("c", 1) + `","data":"/w==","encoding":"base64","by":{"sub":"<u1>","session":"s1"}}],"complete":true,"more":false,"next":"` +
		at("c", 1) + `"}` + "\n"
	if diff := cmp.Diff(want, body); diff != "" || status != http.StatusOK {
		t.Error(status, diff)
	}
}

// Who waits is woken by a publication, wherever it continues, and at the end of
// its time has an empty answer with which to ask again.
func TestHistoryWaits(t *testing.T) {
	n, p := withPast(t, 10)
	n.publish("c", "1")
	for _, c := range []struct{ path, channel, want string }{
		{"/history/c?wait=60s&since=" + at("c", 1), "c", at("c", 2)},
		{"/history/empty?wait=60s", "empty", at("empty", 1)},
	} {
		p.awaitNothing()
		answers := n.historyLater(c.path)
		<-p.looked // it has found nothing
		n.publish(c.channel, "news")
		a := <-answers
		if len(a.Messages) != 1 || a.Messages[0].Data != "news" || a.Next != c.want || !a.Complete {
			t.Errorf("%s: %+v", c.path, a)
		}
	}
	if a := n.history("/history/c?wait=1ms&since=" + at("c", 2)); len(a.Messages) != 0 || a.Next != at("c", 2) || !a.Complete {
		t.Errorf("after the wait: %+v", a)
	}
}

// awaitNothing forgets that somebody has looked.
func (p *past) awaitNothing() {
	select {
	case <-p.looked:
	default:
	}
}

// A server that stops answers those who wait with what there is.
func TestStopEndsWaits(t *testing.T) {
	n, p := withPast(t, 10)
	p.awaitNothing()
	answers := n.historyLater("/history/c?wait=60s")
	<-p.looked
	began := time.Now()
	n.stop()
	if a := <-answers; len(a.Messages) != 0 || !a.Complete {
		t.Errorf("%+v", a)
	}
	if took := time.Since(began); took > patience {
		t.Errorf("stopping took %v", took)
	}
}

// A client that goes away leaves nothing behind: a place among the connections
// is free again.
func TestLeavingEndsAWait(t *testing.T) {
	p := newPast(10)
	t.Cleanup(func() { _ = p.Close() })
	n := start(t, server.Options{Broker: p, MaxConnections: 1})
	ctx, leave := context.WithCancel(context.Background())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/history/c?wait=60s", nil)
		if resp, err := n.client.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Error(resp.Status)
		}
	}()
	<-p.looked
	if status, body := n.get("/history/c?wait=1s"); status != http.StatusServiceUnavailable {
		t.Errorf("beyond the limit of connections: %d %s", status, body)
	}
	leave()
	<-gone
	for end := time.Now().Add(patience); ; {
		if status, body := n.get("/history/c?wait=1ms"); status == http.StatusOK {
			return
		} else if time.Now().After(end) {
			t.Fatal(status, body)
		}
	}
}

// A history that cannot be read is no empty one.
func TestHistoryFails(t *testing.T) {
	n, p := withPast(t, 10)
	n.ws("/ws/watched") // a channel that nobody hears could not be watched without its newest position
	down := badInput{status: http.StatusServiceUnavailable, code: "broker_unavailable"}
	for failure, want := range map[error]badInput{
		broker.ErrUnavailable: down, broker.ErrUncertain: down, context.DeadlineExceeded: down,
		broker.ErrDenied: {status: http.StatusForbidden, code: "broker_denied"},
	} {
		p.fail(fmt.Errorf("test: %w", failure))
		for _, path := range []string{"/history/c", "/history/watched?wait=10s"} {
			resp, body := n.raw(get("GET " + path))
			checkAnswer(t, want, resp, body)
			if resp != nil && (resp.Header.Get("Retry-After") != "") != (want.status == 503) {
				t.Errorf("%v: Retry-After %q", failure, resp.Header.Get("Retry-After"))
			}
		}
	}
}

// Whoever hears a message live has its cursor, in every way to hear one that has
// room for it.
func TestLiveMessagesHaveCursors(t *testing.T) {
	n, _ := withPast(t, 10)
	object, events, text := n.ws("/ws/c?format=json"), n.sse("/sse/c"), n.sse("/sse/c?format=text")
	n.publish("c", "hola")
	if got := read(t, object); got != `{"type":"message","channel":"c","data":"hola","id":"`+at("c", 1)+`"}` {
		t.Error(got)
	}
	if got := events.event(); got != "id: "+at("c", 1)+"\ndata: hola" {
		t.Error(got)
	}
	if got := text.event(); got != "id: "+at("c", 1)+"\ndata: [c] hola" {
		t.Error(got)
	}
}

// Pages of allowed origins may read histories, and others may not.
func TestHistoryOfPages(t *testing.T) {
	n, _ := withPast(t, 10)
	resp, _ := n.raw(get("GET /history/c", "Origin: http://example.com"))
	if resp == nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Access-Control-Allow-Origin") != "http://example.com" {
		t.Error(resp)
	}
}
