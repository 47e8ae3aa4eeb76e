package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	execution "runtime/trace"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

const adminKey = "k3y-of-the-operators-0001"

// operators are the policy of a server with two keys, of which one may administer it.
func operators(t testing.TB) *access.Policy {
	t.Helper()
	var keys []access.Key
	for name, secret := range map[string]string{"app": appKey, "ops": adminKey} {
		digest, err := access.DigestOf(secret)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, access.Key{Name: name, Digest: digest, Admin: name == "ops"})
	}
	p, err := access.New(access.Config{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// admin serves the operators of n on a loopback address or, if it is to be exposed, on all addresses. It returns
// where, on this machine.
func (n *node) admin(exposed bool) string {
	n.t.Helper()
	address := "127.0.0.1:0"
	if exposed {
		address = ":0"
	}
	l, err := server.Listen(context.Background(), address)
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.server.ServeAdmin(ctx, l) }()
	n.t.Cleanup(func() {
		n.pool.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			n.t.Error("ServeAdmin:", err)
		}
	})
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return "http://127.0.0.1:" + port
}

// ask makes a request with headers, which are names and values in turn.
func (n *node) ask(method, url string, headers ...string) (status int, body string) {
	n.t.Helper()
	req, err := http.NewRequest(method, url, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	resp, err := n.pool.RoundTrip(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// Who may administer: on a loopback address programs of this machine, elsewhere keys with admin; nowhere a page, whatever name
// it has for the server, and on loopback nothing that a proxy has passed on.
func TestAdminGuard(t *testing.T) {
	n := start(t, server.Options{Access: operators(t), Hosts: []string{"rt.example.com"}})
	at := map[bool]string{false: n.admin(false), true: n.admin(true)}
	const auth, asOperator = "Authorization", "Bearer " + adminKey
	for _, c := range []struct {
		name             string
		path             string
		headers          []string
		loopback, abroad int
	}{
		{"nothing", "/metrics", nil, 200, 401},
		{"an operator's key", "/metrics", []string{auth, asOperator}, 200, 200},
		{"another key", "/metrics", []string{auth, "Bearer " + appKey}, 200, 403},
		{"a wrong key", "/metrics", []string{auth, "Bearer " + adminKey + "x"}, 200, 401},
		{"a key in the query", "/metrics?token=" + adminKey, nil, 200, 401},
		{"localhost", "/metrics", []string{auth, asOperator, "Host", "localhost:1"}, 200, 200},
		{"the server's name", "/metrics", []string{auth, asOperator, "Host", "rt.example.com"}, 200, 200},
		{"a foreign name", "/metrics", []string{auth, asOperator, "Host", "evil.example"}, 421, 421},
		{"an origin", "/metrics", []string{auth, asOperator, "Origin", "https://evil.example"}, 403, 403},
		{"the own origin", "/metrics", []string{auth, asOperator, "Origin", "https://rt.example.com"}, 403, 403},
		{"no origin", "/metrics", []string{auth, asOperator, "Origin", "null"}, 403, 403},
		{"another site", "/metrics", []string{auth, asOperator, "Sec-Fetch-Site", "cross-site"}, 403, 403},
		{"the address line of a browser", "/metrics", []string{auth, asOperator, "Sec-Fetch-Site", "none"}, 200, 200},
		{"passed on", "/metrics", []string{auth, asOperator, "X-Forwarded-For", "192.0.2.1"}, 403, 200},
		{"health", "/healthz", nil, 200, 200},
		{"readiness", "/readyz", nil, 200, 200},
		{"health for a page", "/healthz", []string{"Origin", "https://evil.example"}, 403, 403},
		{"profiles", "/debug/pprof/", nil, 200, 401},
		{"what is not there", "/publish/a", nil, 404, 401},
	} {
		for exposed, want := range map[bool]int{false: c.loopback, true: c.abroad} {
			if status, body := n.ask("GET", at[exposed]+c.path, c.headers...); status != want {
				t.Errorf("%s, exposed %v: %d %s, want %d", c.name, exposed, status, body, want)
			}
		}
	}
}

// An embedder's http.Server shows Admin to programs of this machine, and a program that says itself who makes a request says
// also who may administer.
func TestAdminByProgram(t *testing.T) {
	n := start(t, server.Options{Authenticate: func(r *http.Request) (transport.Identity, error) {
		return transport.Identity{Kind: transport.Backend, Admin: r.Header.Get("X-Who") == "root"}, nil
	}})
	at := n.admin(true)
	for who, want := range map[string]int{"root": 200, "app": 403} {
		if status, body := n.ask("GET", at+"/metrics", "X-Who", who); status != want {
			t.Errorf("%s: %d %s", who, status, body)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: n.server.Admin()}
	go func() { _ = web.Serve(l) }()
	defer web.Close()
	if status, body := n.ask("GET", "http://"+l.Addr().String()+"/metrics"); status != 200 {
		t.Errorf("of this machine: %d %s", status, body)
	}
}

// Where others could reach it and no key lets anybody in, nothing is served.
func TestAdminNeedsAKey(t *testing.T) {
	n := start(t, server.Options{Access: onlyKeys(t)})
	l, err := server.Listen(context.Background(), ":0")
	if err != nil {
		t.Fatal(err)
	}
	if err := n.server.ServeAdmin(context.Background(), l); !errors.Is(err, server.ErrNoAdmin) {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error("the listener is left open:", err)
	}
}

// The public address has nothing that is the operators', and with NoMetrics no figures either.
func TestAdminIsApart(t *testing.T) {
	n := start(t, server.Options{NoMetrics: true, Hosts: []string{}})
	for _, path := range []string{"/metrics", "/debug/pprof/", "/debug/pprof/heap", "/channels", "/clients", "/drain"} {
		for _, method := range []string{"GET", "POST"} {
			if status, body := n.ask(method, "http://"+n.addr+path); status != 404 {
				t.Errorf("%s %s: %d %s", method, path, status, body)
			}
		}
	}
	for _, handler := range []string{"/debug/pprof/", "/debug/pprof/profile"} {
		req, _ := http.NewRequest("GET", handler, nil)
		if _, pattern := http.DefaultServeMux.Handler(req); pattern != "" {
			t.Error("http.DefaultServeMux has", pattern)
		}
	}
}

// Profiles are there: snapshots, and those that take their time, one of a kind at once.
func TestAdminProfiles(t *testing.T) {
	n := start(t, server.Options{Hosts: []string{}})
	at := n.admin(false) + "/debug/pprof"
	for path, begin := range map[string]string{
		"": "allocs ", "/": "allocs ", "/heap": "\x1f\x8b", "/heap?gc=1&debug=1": "heap profile:", "/goroutine?debug=2": "goroutine ",
		"/profile?seconds=1": "\x1f\x8b", "/trace?seconds=0": "go 1.",
	} {
		if status, body := n.ask("GET", at+path); status != 200 || !strings.HasPrefix(body, begin) {
			t.Errorf("%s: %d %.80q", path, status, body)
		}
	}
	for path, want := range map[string]int{"/nothing": 404, "/cmdline": 404, "/heap?debug=3": 400, "/profile?seconds=301": 400, "/profile?seconds=-1": 400} {
		if status, body := n.ask("GET", at+path); status != want {
			t.Errorf("%s: %d %.80q", path, status, body)
		}
	}
	if err := execution.Start(&bytes.Buffer{}); err != nil {
		t.Fatal(err)
	}
	defer execution.Stop()
	if status, body := n.ask("GET", at+"/trace?seconds=0"); status != 409 || !strings.Contains(body, `"busy"`) {
		t.Errorf("a second trace: %d %s", status, body)
	}
}

// An operator gets in where no more clients do, and however many connections others leave open there.
func TestAdminHasRoomOfItsOwn(t *testing.T) {
	n := start(t, server.Options{MaxConnections: 1, Hosts: []string{}})
	at := n.admin(false)
	n.ws("/ws/a")
	for range 100 {
		c, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	comesTrue(t, "an answer", func() bool {
		client := http.Client{Timeout: time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		resp, err := client.Get(at + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
