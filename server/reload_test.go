package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
)

// reloadable returns a server with its handler.
func reloadable(t *testing.T, o server.Options) (*server.Server, http.Handler) {
	t.Helper()
	b := memory.New()
	o.Broker, o.Logger = b, slog.New(slog.DiscardHandler)
	s, err := server.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = b.Close() })
	return s, s.Handler()
}

// What may change while the server runs does so for the next request, all of it or nothing.
func TestReload(t *testing.T) {
	s, h := reloadable(t, server.Options{AllowOrigins: []string{"https://old.example"}, Hosts: []string{"old.example"}})
	status := func(host, origin string) int {
		return ask(h, "GET", "/sse", "Host", host, "Origin", origin).StatusCode
	}
	check := func(host, origin string) {
		t.Helper()
		for _, c := range []struct {
			host, origin string
			want         int
		}{
			{host, origin, http.StatusBadRequest}, // as it names no channel
			{host, "https://other.example", http.StatusForbidden},
			{"other.example", origin, http.StatusMisdirectedRequest},
		} {
			if got := status(c.host, c.origin); got != c.want {
				t.Errorf("%s for a page of %s: %d, want %d", c.host, c.origin, got, c.want)
			}
		}
	}
	check("old.example", "https://old.example")
	for _, bad := range []server.Reloadable{
		{AllowOrigins: []string{"nonsense"}, Hosts: []string{"new.example"}},
		{AllowOrigins: []string{"https://new.example"}, Hosts: []string{"new.example:80"}},
		{AllowOrigins: []string{"https://new.example"}, Hosts: []string{"new.example"}, Cookie: "a b"},
	} {
		if err := s.Reload(bad); !errors.Is(err, server.ErrOptions) {
			t.Error(bad, err)
		}
		check("old.example", "https://old.example")
	}
	if err := s.Reload(server.Reloadable{AllowOrigins: []string{"https://new.example"}, Hosts: []string{"new.example"}, Cookie: "rt"}); err != nil {
		t.Fatal(err)
	}
	check("new.example", "https://new.example")
}

// Every answer, whatever it is, keeps caches from keeping it, and pages of other sites from
// learning the address of this one.
func TestCommonHeaders(t *testing.T) {
	h := handler(t, server.Options{})
	for _, c := range []struct {
		method, target string
		status         int
		cache          string
	}{
		{"GET", "/", 200, "no-cache"}, {"GET", "/healthz", 200, "no-store"}, {"GET", "/metrics", 401, "no-store"},
		{"POST", "/publish/a?message=x", 200, "no-store"}, {"POST", "/publish/a", 400, "no-store"}, {"GET", "/history/a", 404, "no-store"},
		{"OPTIONS", "/publish/a", 204, "no-store"}, {"PUT", "/publish/a", 405, "no-store"}, {"GET", "/nothing", 404, "no-store"},
		{"GET", "/ws/a", 400, "no-store"},
	} {
		resp := ask(h, c.method, c.target)
		got := resp.Header
		if resp.StatusCode != c.status || got.Get("Vary") != "Origin" || got.Get("Cache-Control") != c.cache || got.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s %s: %s %v", c.method, c.target, resp.Status, got)
		}
	}
	if got := ask(handler(t, server.Options{NoConsole: true}), "GET", "/").StatusCode; got != http.StatusNotFound {
		t.Errorf("the page that is left out: %d", got)
	}
}

// Clients that may still listen after a reload notice nothing of it, and the others are told not to come back. What was
// taken from a cookie, or by a key, counts by the new configuration.
func TestReloadAccess(t *testing.T) {
	n := start(t, server.Options{Access: rules(t, true, true), Cookie: "rt"})
	stays, goes := n.ws("/ws/room.1?format=raw&token="+anaToken), n.ws("/ws/news?format=raw")
	fewer, err := access.New(access.Config{Tokens: fakeTokens{}, Rules: []access.Rule{
		{Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := n.publishAs(appKey, "room.1"); got != http.StatusOK || read(t, stays) != "hola" {
		t.Error("before:", got)
	}
	if err := n.server.Reload(server.Reloadable{Access: fewer, Cookie: "session", Hosts: []string{"localhost"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := readErr(goes); !websocket.IsCloseError(err, 4100) {
		t.Error("who no longer may is told", err)
	}
	if got := n.publishAs(appKey, "room.1"); got != http.StatusUnauthorized {
		t.Error("with a key that is gone:", got)
	}
	if got := n.publishAs(anaToken, "room.1"); got != http.StatusOK || read(t, stays) != "hola" {
		t.Error("after:", got)
	}
	for name, status := range map[string]int{"rt": http.StatusUnauthorized, "session": http.StatusNotFound} { // there is no history
		resp, body := n.raw("GET /history/room.1 HTTP/1.1\r\nHost: localhost\r\nCookie: " + name + "=" + anaToken + "\r\n\r\n")
		if resp == nil || resp.StatusCode != status {
			t.Errorf("the cookie %s: %v %s", name, resp, body)
		}
	}
}
