package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

var upgradeHeaders = []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}

func keepingBroker() broker.Broker {
	return memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
}

// What is wrong with the form of a request is answered first, then 401, then 403, then all else: on
// every way in.
func TestOrderOfAnswers(t *testing.T) {
	b := keepingBroker()
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Access: rules(t, true, true), Logger: slog.New(slog.DiscardHandler), DrainTime: time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = b.Close() })
	s.Drain(context.Background()) // which is the rest
	const bad, ana = "Bearer " + forgery, "Bearer " + anaToken
	for _, c := range []struct {
		method, target, body, credential string
		status                           int
		code                             string
	}{
		{"POST", "/publish/a//b", "x", bad, 400, "bad_channel"},
		{"POST", "/publish/room.1?x=y", "x", bad, 400, "bad_query"},
		{"POST", "/publish/room.1", "", bad, 400, "empty"},
		{"POST", "/publish/room.1", "\xff", "", 400, "invalid_utf8"},
		{"POST", "/publish/room.1", "x", bad, 401, "unauthorized"},
		{"POST", "/publish/__room", "x", bad, 401, "unauthorized"},
		{"POST", "/publish/__room", "x", "", 403, "channel_reserved"},
		{"POST", "/publish/room.1", "x", "", 401, "unauthorized"},
		{"POST", "/publish/news", "x", "", 401, "unauthorized"},
		{"POST", "/publish/news", "x", ana, 403, "forbidden"},
		{"POST", "/publish/news", "x", "Bearer " + listenKey, 403, "forbidden"},
		{"POST", "/publish/room.1", "x", ana, 200, ""},
		{"POST", "/publish/wall", "x", "", 200, ""},
		{"POST", "/publish/wall", "x", bad, 401, "unauthorized"}, // even where anyone may
		{"POST", "/publish?channel=room.1&channel=news", "", bad, 400, "empty"},
		{"POST", "/publish?channel=room.1&channel=news", "x", ana, 403, "forbidden"},

		{"GET", "/history/room.1?limit=0", "", bad, 400, "bad_limit"},
		{"GET", "/history/room.1", "", bad, 401, "unauthorized"},
		{"GET", "/history/room.1", "", "", 401, "unauthorized"},
		{"GET", "/history/room.2", "", ana, 403, "forbidden"},
		{"GET", "/history/news", "", "", 200, ""},
		{"GET", "/history/room.1", "", ana, 200, ""},
		{"DELETE", "/history/room.1?x=y", "", bad, 400, "bad_query"},
		{"DELETE", "/history/room.1", "", "", 401, "unauthorized"},
		{"DELETE", "/history/room.1", "", ana, 403, "forbidden"},
		{"DELETE", "/history/room.1", "", "Bearer " + appKey, 204, ""},

		{"GET", "/ws/room.1?format=x", "", bad, 400, "bad_format"},
		{"GET", "/ws?channel=news&channel=room.1", "", "", 401, "unauthorized"},
		{"GET", "/ws?channel=room.1&channel=room.2", "", ana, 403, "forbidden"},
		{"GET", "/ws/room.1", "", bad, 401, "unauthorized"},
		{"GET", "/ws/room.1", "", ana, 503, "draining"},
		{"GET", "/ws/__room", "", bad, 401, "unauthorized"},
		{"GET", "/ws/room.1", "", "Bearer " + awayToken, 503, "issuer_unavailable"},

		{"GET", "/sse/room.1?format=x", "", bad, 400, "bad_format"},
		{"GET", "/sse/room.1", "", bad, 401, "unauthorized"},
		{"GET", "/sse/room.1", "", "", 401, "unauthorized"},
		{"GET", "/sse/room.2", "", ana, 403, "forbidden"},

		{"POST", "/sse?format=x", wish("room.1"), bad, 400, "bad_format"},
		{"POST", "/sse", `{}`, bad, 400, "bad_command"},
		{"POST", "/sse", wish("room.1"), bad, 401, "unauthorized"},
		{"POST", "/sse", wish("news", "room.1"), "", 401, "unauthorized"},
		{"POST", "/sse", wish("__room"), bad, 401, "unauthorized"},
		{"POST", "/sse", wish("__room"), "", 403, "channel_reserved"},
		{"POST", "/sse", wish("news", "room.2"), ana, 403, "forbidden"},
		{"POST", "/sse", wish("news", "room.1"), ana, 503, "draining"},
		{"POST", "/sse", wish("room.1"), "Bearer " + awayToken, 503, "issuer_unavailable"},
	} {
		for _, upgrade := range []bool{false, true} { // a page can learn by a plain request what its WebSocket cannot see
			if upgrade && !strings.HasPrefix(c.target, "/ws") {
				continue
			}
			var headers []string
			if upgrade {
				headers = append(headers, upgradeHeaders...)
			}
			if c.method == "POST" && strings.HasPrefix(c.target, "/sse") {
				headers = append(headers, "Content-Type", "application/json")
			}
			if c.credential != "" {
				headers = append(headers, "Authorization", c.credential)
			}
			got := answerTo(s.Handler(), request(c.method, c.target, strings.NewReader(c.body), headers...))
			if got.status != c.status || got.code != c.code || got.code != "" && got.request == "" {
				t.Errorf("%s %s with %q: %d %s, want %d %s", c.method, c.target, c.credential, got.status, got.body, c.status, c.code)
			}
		}
	}
}

// An EventSource gives up at a status: so where it may come back, as when the issuer is away, it is
// told to.
func TestEventStreamsComeBackWhereTheyMay(t *testing.T) {
	n := start(t, server.Options{Access: rules(t, true, true)})
	resp, body := n.raw(get("GET /sse/room.1?token=" + awayToken))
	if resp == nil || resp.StatusCode != http.StatusOK || !strings.Contains(body, "retry: ") || !strings.Contains(body, "issuer_unavailable") {
		t.Error(resp, body)
	}
}

// A batch is decided as a whole, before anything is published, and the answer has the first item that is
// the reason.
func TestBatchesAreDecidedFirst(t *testing.T) {
	b := keepingBroker()
	h := handler(t, server.Options{Broker: b, Access: rules(t, true, true)})
	batch := `[{"channel":"room.1","data":"x"},{"channels":["room.1","news"],"data":"y"}]`
	got := answerTo(h, request("POST", "/publish", strings.NewReader(batch), "Content-Type", "application/json", "Authorization", "Bearer "+anaToken))
	if got.status != http.StatusForbidden || got.code != "forbidden" || !strings.Contains(got.body, `"index":1`) {
		t.Error(got)
	}
	got = answerTo(h, request("POST", "/publish?channel=room.1&channel=news&message=x", nil, "Authorization", "Bearer "+anaToken))
	if got.status != http.StatusForbidden || !strings.Contains(got.body, `"index":1`) {
		t.Error(got)
	}
	if got := answerTo(h, request("GET", "/history/room.1", nil, "Authorization", "Bearer "+anaToken)); !strings.Contains(got.body, `"messages":[]`) {
		t.Error(got)
	}
}

// A countingBody is a long body, and says how much of it was read.
type countingBody struct{ left, read int }

func (c *countingBody) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.left)
	copy(p, bytes.Repeat([]byte("x"), n))
	c.left, c.read = c.left-n, c.read+n
	return n, nil
}

// Callers that may not do what a body asks for cannot make the server read a long one.
func TestBodiesOfStrangersAreNotRead(t *testing.T) {
	h := handler(t, server.Options{Access: rules(t, true, true)})
	for _, c := range []struct {
		target, credential string
		status             int
	}{
		{"/publish/room.1", "", 401}, {"/publish/room.1", "Bearer " + forgery, 401}, {"/publish/news", "Bearer " + anaToken, 403},
		{"/publish?channel=room.1", "", 401}, {"/publish", "Bearer " + forgery, 401},
		{"/sse", "Bearer " + forgery, 401},
	} {
		for _, known := range []bool{true, false} {
			body := &countingBody{left: 1 << 20}
			r := request("POST", c.target, body)
			if r.ContentLength = -1; known {
				r.ContentLength = 1 << 20
			}
			if c.target == "/publish" || c.target == "/sse" {
				r.Header.Set("Content-Type", "application/json")
			}
			if c.credential != "" {
				r.Header.Set("Authorization", c.credential)
			}
			got := answerTo(h, r)
			if got.status != c.status || body.read > 20<<10 || got.header.Get("Connection") != "close" {
				t.Errorf("%s with %q, length known %v: %d after %d bytes, %v", c.target, c.credential, known, got.status, body.read, got.header)
			}
		}
	}
}

// The log says why somebody was refused in the operator's words, under the name that the problem has, and
// nothing that came from outside.
func TestRefusalsAreLogged(t *testing.T) {
	var out lines
	h := handler(t, server.Options{Access: rules(t, true, true), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for _, c := range []struct{ credential, channel, reason string }{
		{"", "room.77", "line 9 for room.*"}, {"", "private", "no rule"}, {"Bearer " + anaToken, "room.77", "no grant|none for the channel"},
		{"Bearer " + forgery, "news", "token"}, {"Bearer nonsense-nonsense-nonsense", "news", "unknown key"}, {"Bearer " + awayToken, "news", "issuer"},
	} {
		var headers []string
		if c.credential != "" {
			headers = []string{"Authorization", c.credential}
		}
		got := answerTo(h, request("GET", "/history/"+c.channel, nil, headers...))
		line := out.containing("request=" + got.request)
		if len(got.request) < 8 || len(got.request) > 16 || strings.Count(line, "\n") != 1 || !strings.Contains(line, "level=INFO") ||
			!regexp.MustCompile(c.reason).MatchString(line) || !strings.Contains(line, fmt.Sprint("status=", got.status)) {
			t.Errorf("%+v: %s\nlogged %q", c, got.body, line)
		}
	}
	for _, secret := range []string{"room.77", "private", "nonsense", anaToken, forgery} {
		if found := out.containing(secret); found != "" {
			t.Errorf("logged: %s", found)
		}
	}
}

// Strangers cannot fill the log: what was left out is counted.
func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	var out lines
	h := handler(t, server.Options{Access: rules(t, true, true), Logger: slog.New(slog.NewTextHandler(&out, nil))})
	begin := time.Now()
	ids := map[string]bool{}
	for range 2000 {
		ids[answerTo(h, request("GET", "/history/room.1", nil)).request] = true
	}
	most := 10 + int(2*time.Since(begin).Seconds()) + 1
	if n := strings.Count(out.containing("was refused"), "\n"); n == 0 || n > most {
		t.Errorf("%d lines, at most %d", n, most)
	}
	if len(ids) != 2000 {
		t.Errorf("%d names of 2000 requests", len(ids))
	}
}

// cameBy returns a request that came by a connection to a local address.
func cameBy(method, target, address string, headers ...string) *http.Request {
	r := request(method, target, nil, headers...)
	a := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	return r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(a)))
}

// The figures are for keys, and for what surely comes from the same machine. What is refused is told the true reason.
func TestWhoMayReadTheFigures(t *testing.T) {
	const local = "but for programs on the server's own machine that ask at localhost, not through a proxy"
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []struct {
		name, address string
		options       server.Options
		headers       []string
		status        int
		says          string
	}{
		{"local", "127.0.0.1:8000", server.Options{}, []string{"Host", "localhost:8000"}, 200, ""},
		{"local, IPv6", "[::1]:8000", server.Options{}, []string{"Host", "[::1]:8000"}, 200, ""},
		{"local, with rules", "127.0.0.1:8000", server.Options{Access: rules(t, true, true)}, []string{"Host", "127.0.0.1"}, 200, ""},
		{"local, by the name of a page", "127.0.0.1:8000", server.Options{}, nil, 401, local}, // which resolves to this machine
		{"local by name", "127.0.0.1:8000", server.Options{Hosts: []string{"localhost", "127.0.0.1", "::1"}}, []string{"Host", "localhost"}, 200, ""},
		{"far", "10.0.0.1:8000", server.Options{}, nil, 401, local},
		{"far, and open", "10.0.0.1:8000", server.Options{Open: true}, nil, 401, local},
		{"with a key", "10.0.0.1:8000", server.Options{Access: rules(t, true, true)}, []string{"Authorization", "Bearer " + listenKey}, 200, ""},
		{"with a token", "10.0.0.1:8000", server.Options{Access: rules(t, true, true)}, []string{"Authorization", "Bearer " + anaToken}, 403, local},
		{"with a cookie", "10.0.0.1:8000", server.Options{Access: rules(t, true, true), Cookie: "rt"}, []string{"Cookie", "rt=" + anaToken}, 403, local},
		{"with a forgery", "127.0.0.1:8000", server.Options{Access: rules(t, true, true)}, []string{"Authorization", "Bearer " + forgery}, 401, "credential"},
		{"through a proxy", "127.0.0.1:8000", server.Options{}, []string{"X-Forwarded-For", "10.0.0.1"}, 401, local},
		{"by a public name", "127.0.0.1:8000", server.Options{Hosts: []string{"example.com"}}, nil, 401, "public name (--host)"},
		{"local, by a public name as well", "127.0.0.1:8000", server.Options{Hosts: []string{"example.com"}}, []string{"Host", "localhost:8000"}, 401, "public name (--host)"},
		{"a token where there is a public name", "127.0.0.1:8000", server.Options{Hosts: []string{"example.com"}, Access: rules(t, true, true)}, []string{"Authorization", "Bearer " + anaToken, "Host", "localhost"}, 403, "public name (--host)"},
		{"behind proxies", "127.0.0.1:8000", server.Options{TrustProxies: proxies}, nil, 401, "trusts a proxy (--trust-proxy)"},
	} {
		r := cameBy("GET", "/metrics", c.address, c.headers...)
		if host := r.Header.Get("Host"); host != "" {
			r.Host = host
		}
		if got := answerTo(handler(t, c.options), r); got.status != c.status || !strings.Contains(got.body, c.says) || (got.status == 401) != (got.header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s, want %d, %q", c.name, got.status, got.body, c.status, c.says)
		}
	}
}

// A server that is open because only its own machine can reach it refuses what a proxy has passed on.
func TestOpenBehindAProxy(t *testing.T) {
	closed, open := start(t, server.Options{}), start(t, server.Options{Open: true})
	protected := start(t, server.Options{Access: rules(t, true, true)})
	for _, header := range []string{"Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1", "x-forwarded-proto: https", "X-Real-IP: 192.0.2.1", "X-FORWARDED-HOST: a"} {
		for _, path := range []string{"/", "/history/c", "/sse/c", "/metrics", "/nothing"} {
			resp, body := closed.raw(get("GET "+path, header))
			checkAnswer(t, badInput{status: http.StatusForbidden, code: "open_behind_proxy"}, resp, body)
		}
		for _, path := range []string{"/healthz", "/readyz"} {
			if resp, body := closed.raw(get("GET "+path, header)); resp.StatusCode != http.StatusOK {
				t.Error(path, body)
			}
		}
		for _, n := range []*node{open, protected} {
			if resp, body := n.raw(get("GET /", header)); resp.StatusCode != http.StatusOK {
				t.Error(header, body)
			}
		}
	}
	embedded := handler(t, server.Options{}) // whatever is in front of it is the program's own
	if got := answerTo(embedded, request("GET", "/", nil, "X-Forwarded-For", "192.0.2.1")); got.status != http.StatusOK {
		t.Error(got)
	}
}

// A hook's refusal is the hook's, whatever the rules say.
func TestHooksRunBehindTheDecision(t *testing.T) {
	asked := 0
	h := handler(t, server.Options{Access: rules(t, true, true), Hooks: server.Hooks{
		OnPublish: func(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
			asked++
			return m, nil
		},
	}})
	if got := answerTo(h, request("POST", "/publish/news?message=x", nil, "Authorization", "Bearer "+anaToken)); got.status != http.StatusForbidden || asked != 0 {
		t.Error(got, asked)
	}
	if got := answerTo(h, request("POST", "/publish/room.1?message=x", nil, "Authorization", "Bearer "+anaToken)); got.status != http.StatusOK || asked != 1 {
		t.Error(got, asked)
	}
}
