package server_test

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// A browser's WebSocket comes in with its token as a subprotocol, and hears; it is answered with the one that
// is no secret. What others offer is not chosen.
func TestWebSocketsWithAToken(t *testing.T) {
	n := start(t, server.Options{Access: rules(t, true, true)})
	for _, c := range []struct {
		offered []string
		answer  string
		status  int
	}{
		{[]string{"pregon.v1", asProtocol(anaToken)}, "pregon.v1", http.StatusSwitchingProtocols},
		{[]string{asProtocol(anaToken), "chat", "pregon.v1"}, "pregon.v1", http.StatusSwitchingProtocols},
		{[]string{asProtocol(anaToken)}, "", http.StatusBadRequest},
		{[]string{"pregon.v1", asProtocol(otherToken)}, "", http.StatusForbidden},
		{[]string{"pregon.v1", asProtocol(forgery)}, "", http.StatusUnauthorized},
		{[]string{"pregon.v1"}, "", http.StatusUnauthorized},
	} {
		d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: c.offered}
		conn, resp, err := d.Dial("ws://"+n.addr+"/ws/room.1?format=raw", nil)
		if resp == nil || resp.StatusCode != c.status || resp.Header.Get("Sec-WebSocket-Protocol") != c.answer ||
			resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Vary") != "Origin" || resp.Header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%q: %v %v", c.offered, resp, err)
		}
		if err != nil {
			continue
		}
		if got := n.publishAs(appKey, "room.1"); got != http.StatusOK {
			t.Error("publish:", got)
		}
		if got := read(t, conn); got != "hola" {
			t.Error(got)
		}
		_ = conn.Close()
	}
}

// publishAs publishes hola with a credential.
func (n *node) publishAs(credential, channel string) int {
	n.t.Helper()
	r, err := http.NewRequest("POST", "http://"+n.addr+"/publish/"+channel, strings.NewReader("hola"))
	if err != nil {
		n.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+credential)
	resp, err := n.client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// A way is an address that clients use.
type way struct{ method, target string }

// ways are those that take a credential, of every transport that is registered, too.
func ways() []way {
	all := []way{{"POST", "/publish"}, {"POST", "/publish/news"}, {"GET", "/history/news"}, {"DELETE", "/history/news"}, {"GET", "/spy/own"}, {"POST", "/spy/own"}}
	for _, name := range transport.Names() {
		all = append(all, way{"GET", "/" + name + "?format=none"}, way{"GET", "/" + name + "/news?format=none"}) // so that none is served for ever
	}
	return all
}

// Whatever a credential is good for, and however it comes, no answer and no line of the log has it, at any
// level.
func TestNoAnswerOrLineHasACredential(t *testing.T) {
	var out lines
	var s spy
	h := spied(t, &s, server.Options{Access: rules(t, true, true), Cookie: "rt", Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 4, AddSource: true}))})
	credentials := []string{appKey, listenKey, anaToken, otherToken, lateToken, awayToken, forgery, "pgt_" + appKey, "not-a-key-of-anybody-0003"}
	for _, credential := range credentials {
		for _, carry := range [][]string{
			{"Authorization", "Bearer " + credential}, {"Authorization", "Basic " + credential}, {"Authorization", credential},
			{"Sec-WebSocket-Protocol", "pregon.v1, " + asProtocol(credential)}, {"Sec-WebSocket-Protocol", asProtocol(credential)},
			{"Cookie", "rt=" + credential}, {"Referer", "https://example.com/?token=" + credential}, nil,
		} {
			for _, w := range append(ways(), way{"GET", "/metrics"}, way{"GET", "/nothing"}, way{"PUT", "/publish/a"}) {
				target := w.target
				switch {
				case carry == nil && strings.Contains(target, "?"):
					target += "&token=" + credential
				case carry == nil:
					target += "?token=" + credential
				}
				got := answerTo(h, request(w.method, target, strings.NewReader("x"), carry...))
				var headers strings.Builder
				_ = got.header.Write(&headers)
				for _, secret := range []string{credential, asProtocol(credential)[len("pregon.bearer."):]} {
					if strings.Contains(got.body+headers.String(), secret) {
						t.Errorf("%s %s with %.20q: answered with it: %s", w.method, w.target, carry, got.body)
					}
				}
			}
		}
	}
	for _, credential := range credentials {
		for _, secret := range []string{credential, asProtocol(credential)[len("pregon.bearer."):]} {
			if line := out.containing(secret); line != "" {
				t.Error("logged:", line)
			}
		}
	}
}
