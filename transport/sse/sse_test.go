package sse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/sse"
)

// A capture is a hub that keeps who joins.
type capture chan transport.Subscriber

func (c capture) Join(_ context.Context, s transport.Subscriber) (transport.Session, error) {
	c <- s
	return stay{}, nil
}

type stay struct{}

func (stay) Heard()                 {}
func (stay) Leave()                 {}
func (stay) Began() broker.Position { return began }

var began = broker.Position{Epoch: 7, Seq: 3}

// join connects a client for the time of the test, and returns what it became.
func join(t *testing.T, format string, starts []transport.Start) transport.Subscriber {
	t.Helper()
	hub := make(capture, 1)
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, Stall: time.Minute, Linger: time.Minute})
	tr := sse.New(transport.Env{Hub: hub, Sockets: sockets, MaxInbound: 1 << 10})
	f, _ := transport.FormatByName(format)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := tr.Serve(w, r, transport.Wanted{Channels: []string{"c"}, Starts: starts, Format: f}); err != nil {
			t.Error(err)
		}
	}))
	resp, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = resp.Body.Close()
		web.Close()
		tr.Wait()
		sockets.Wait()
	})
	return <-hub
}

// Where a client wants to begin reaches the hub.
func TestStartsReachTheHub(t *testing.T) {
	starts := []transport.Start{{Since: true, After: broker.Position{Epoch: 7, Seq: 3}}}
	if s := join(t, "raw", starts); !slices.Equal(s.Starts, starts) {
		t.Error(s.Starts)
	}
}

// What EventSource says when it comes back is handed on as it is.
func TestLastID(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		sent []string
		want string
		said bool
	}{
		{nil, "", false}, {[]string{""}, "", false}, {[]string{"abc"}, "abc", true}, {[]string{long}, long, true},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header["Last-Event-Id"] = c.sent
		if id, said := sse.New(transport.Env{}).LastID(r); id != c.want || said != c.said {
			t.Errorf("%q: %q, %v", c.sent, id, said)
		}
	}
}
