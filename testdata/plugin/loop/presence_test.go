package loop_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"example.com/pregon-plugin/loop"
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// Who is in a channel is known on all nodes, though the driver does nothing for it.
func TestPresence(t *testing.T) {
	for name, backend := range map[string]*loop.Backend{
		"without history": loop.NewBackend(),
		"with history":    loop.NewBackendWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here, there := node(t, backend), node(t, backend)
			ana := transport.Subscription{Channel: "room", Member: &transport.Member{Subject: "ana"}}
			s, err := here.Subscribe(t.Context(), transport.Identity{}, ana)
			if err != nil {
				t.Fatal(err)
			}
			becomes(t, there, `{"type":"members","channel":"room","count":1,"members":[{"sub":"ana","connections":1}]}`)
			s.Close()
			becomes(t, there, `{"type":"members","channel":"room","count":0,"members":[]}`)
		})
	}
}

func node(t *testing.T, backend *loop.Backend) *server.Server {
	t.Helper()
	b := backend.Open()
	s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = b.Close() })
	return s
}

// becomes waits until a node answers who is there as is wanted.
func becomes(t *testing.T, s *server.Server, want string) {
	t.Helper()
	got := ""
	for deadline := time.Now().Add(30 * time.Second); got != want+"\n"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %s, want %s", got, want)
		}
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "http://localhost/presence/room", nil)
		s.Handler().ServeHTTP(w, r)
		got = w.Body.String()
	}
}
