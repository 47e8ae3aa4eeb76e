package server_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// overHTTP2 returns n for clients that begin with the preface of HTTP/2.
func (n *node) overHTTP2() *node {
	two := *n
	two.pool = &http.Transport{Protocols: new(http.Protocols)}
	two.pool.Protocols.SetUnencryptedHTTP2(true)
	two.client = &http.Client{Transport: &two}
	n.t.Cleanup(two.pool.CloseIdleConnections)
	return &two
}

// warm has all that follows go by one connection: a request that comes before net/http has noted the
// connection of the first would open another.
func (n *node) warm() {
	n.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); n.pool.CloseIdleConnections() {
		n.requestOn("GET", "/healthz")
		if _, _, reused := n.requestOn("GET", "/healthz"); reused {
			return
		}
	}
	n.t.Fatal("connections are not kept")
}

// certificate is one for 127.0.0.1 and example.com, and trust has it verified.
func certificate(t *testing.T) (certificates []tls.Certificate, trust *http.Transport) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	trust = s.Client().Transport.(*http.Transport)
	trust.ForceAttemptHTTP2 = true
	return s.TLS.Certificates, trust
}

// requestOn returns the answer to a request, which is read to its end, and whether it came by a
// connection that was there before.
func (n *node) requestOn(method, path string, headers ...string) (resp *http.Response, body string, reused bool) {
	n.t.Helper()
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
	r, err := http.NewRequestWithContext(ctx, method, "http://"+n.addr+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err = n.client.Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil && !strings.Contains(string(text), "retry: ") {
		n.t.Fatal(err)
	}
	return resp, string(text), reused
}

// comesTrue waits until something is so.
func comesTrue(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("still not:", what)
		}
	}
}

// Everything but WebSockets goes over HTTP/2, with TLS and without, and on one connection.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	certificates, trust := certificate(t)
	for name, secure := range map[string]bool{"https": true, "prior knowledge": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Hour}).Broker()
			t.Cleanup(func() { _ = b.Close() })
			l, err := server.Listen(context.Background(), "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			if secure {
				l = server.Secure(l, &tls.Config{Certificates: certificates, NextProtos: []string{"h2", "http/1.1"}})
			}
			n := startOn(t, l, server.Options{Broker: b, DrainTime: 100 * time.Millisecond})
			client, url := n.overHTTP2().client, "http://"+n.addr
			if secure {
				client, url = &http.Client{Transport: trust.Clone()}, "https://"+n.addr
				t.Cleanup(client.CloseIdleConnections)
			}
			ask := func(method, path string) *http.Response {
				t.Helper()
				r, _ := http.NewRequest(method, url+path, nil)
				resp, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = resp.Body.Close() })
				if resp.ProtoMajor != 2 || resp.Header.Get("Connection") != "" || resp.Header.Get("Vary") == "" {
					t.Errorf("%s %s: %s %v", method, path, resp.Proto, resp.Header)
				}
				return resp
			}
			var streams []*stream
			for range 12 {
				resp := ask("GET", "/sse/c")
				streams = append(streams, &stream{t, bufio.NewReader(resp.Body), resp})
			}
			if resp := ask("POST", "/publish/c?message=hola"); resp.StatusCode != http.StatusOK {
				t.Error(resp.Status)
			}
			for _, s := range streams {
				if got := s.event(); !strings.HasSuffix(got, "data: hola") {
					t.Errorf("heard %q", got)
				}
			}
			if body, _ := io.ReadAll(ask("GET", "/history/c").Body); !strings.Contains(string(body), "hola") {
				t.Errorf("the history is %s", body)
			}
			if resp := ask("DELETE", "/history/c"); resp.StatusCode != http.StatusNoContent {
				t.Error(resp.Status)
			}
			if resp := ask("GET", "/"); !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
				t.Error("the page:", resp.Status, resp.Header)
			}
			if body, _ := io.ReadAll(ask("GET", "/ws/c").Body); !strings.Contains(string(body), "bad_handshake") {
				t.Errorf("a WebSocket is answered %s", body)
			}
			if got := n.server.Stats().Connections; got != len(streams) {
				t.Error("connections:", got)
			}
			client.CloseIdleConnections()
			n.stop()
			for _, s := range streams {
				if _, err := io.ReadAll(s); err == nil {
					t.Error("a stream ended well")
				}
			}
		})
	}
}

// A program that serves Handler with TLS, and does nothing for it, serves HTTP/2.
func TestHTTP2OfEmbedders(t *testing.T) {
	t.Parallel()
	certificates, trust := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: handler(t, server.Options{}), TLSConfig: &tls.Config{Certificates: certificates}}
	done := make(chan error, 1)
	go func() { done <- web.ServeTLS(l, "", "") }()
	client := &http.Client{Transport: trust}
	t.Cleanup(func() { client.CloseIdleConnections(); _ = web.Close(); <-done })
	resp, err := client.Get("https://" + l.Addr().String() + "/sse/c")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Proto, resp.Status)
	}
	published, err := client.Post("https://"+l.Addr().String()+"/publish/c", "text/plain", strings.NewReader("hola"))
	if err != nil {
		t.Fatal(err)
	}
	_ = published.Body.Close()
	if got := (&stream{t, bufio.NewReader(resp.Body), resp}).event(); got != "data: hola" {
		t.Errorf("heard %q", got)
	}
}

// Each request under way over HTTP/2 counts as a connection of its address, a client that listens
// once, and one that ends makes room. A key is served all the same, and a refusal is one request's:
// the others on the connection go on, and the next one goes by it, too.
func TestHTTP2ConnectionsOfAnAddress(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true), Limits: server.Limits{ConnectionsPerAddress: 3}}).overHTTP2()
	n.warm()
	first, second, third := n.sse("/sse/news"), n.sse("/sse/news"), n.sse("/sse/news")
	for range 2 {
		resp, body, reused := n.requestOn("GET", "/history/news")
		if resp.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, "too_many_connections") || resp.Header.Get("Retry-After") == "" || !reused {
			t.Error(resp, body, reused)
		}
	}
	if resp, body, _ := n.requestOn("GET", "/sse/news"); resp.StatusCode != http.StatusOK || !strings.HasPrefix(body, "retry: ") {
		t.Error("an EventSource is not told to come back:", resp, body)
	}
	if resp, _, reused := n.requestOn("POST", "/publish/news?message=x", "Authorization", "Bearer "+appKey); resp.StatusCode != http.StatusOK || !reused {
		t.Error("a key is not served:", resp, reused)
	}
	for _, s := range []*stream{first, second, third} {
		if got := s.event(); got != "data: x" {
			t.Errorf("heard %q", got)
		}
	}
	_ = first.resp.Body.Close()
	comesTrue(t, "room again", func() bool {
		resp, _, _ := n.requestOn("GET", "/history/news")
		return resp.StatusCode == http.StatusNotFound // there is no history
	})
}

// A client that reads nothing is disconnected, and those that share its connection notice nothing.
func TestHTTP2SlowStream(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{QueueBytes: 256 << 10, WriteTimeout: time.Second}).overHTTP2()
	n.pool.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	n.warm()
	deaf := n.sse("/sse/c")
	fast := n.sse("/sse/c")
	text := strings.Repeat("x", 100<<10)
	for range 10 {
		n.publish("c", text)
		if got := fast.event(); got != "data: "+text {
			t.Fatalf("heard %d bytes", len(got))
		}
	}
	comesTrue(t, "disconnected", func() bool { return n.server.Stats().Disconnected == 1 && n.server.Stats().Connections == 1 })
	if _, err := io.ReadAll(deaf); err == nil {
		t.Error("the stream of the slow client ended well")
	}
	if n.publish("c", "still here"); fast.event() != "data: still here" {
		t.Error("the other one does not hear any more")
	}
}

// A pausable connection reads nothing while its gate is locked.
type pausable struct {
	net.Conn
	gate sync.RWMutex
}

func (p *pausable) Read(b []byte) (int, error) {
	p.gate.RLock()
	//lint:ignore SA2001 it only waits
	p.gate.RUnlock()
	return p.Conn.Read(b)
}

// A connection that takes nothing is closed with all of its streams, and nobody else waits for it.
func TestHTTP2StuckConnection(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{QueueBytes: 1 << 20, WriteTimeout: time.Second})
	stuck := n.overHTTP2()
	dialed := &pausable{}
	stuck.pool.DialContext = func(ctx context.Context, network, address string) (c net.Conn, err error) {
		dialed.Conn, err = new(net.Dialer).DialContext(ctx, network, address)
		if err == nil {
			err = dialed.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
		}
		return dialed, err
	}
	stuck.warm()
	for range 5 { // which may have more on the way together than the system takes
		stuck.sse("/sse/c")
	}
	dialed.gate.Lock()
	defer dialed.gate.Unlock()
	honest := n.ws("/ws/c?format=raw")
	text := strings.Repeat("x", 200<<10)
	comesTrue(t, "closed", func() bool {
		n.publish("c", text)
		if got := read(t, honest); got != text {
			t.Fatalf("heard %d bytes", len(got))
		}
		return n.server.Stats().Connections == 1
	})
}

// Streams that are aborted, and connections that are, leave nothing behind.
func TestHTTP2Aborted(t *testing.T) {
	n := start(t, server.Options{})
	before := runtime.NumGoroutine()
	for i := range 10 {
		two := n.overHTTP2()
		conns := make(chan net.Conn, 10)
		two.pool.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, network, address)
			conns <- c
			return c, err
		}
		two.warm()
		var streams []*stream
		for range 100 {
			streams = append(streams, two.sse("/sse/c"))
		}
		if got := n.server.Stats().Connections; got != len(streams) {
			t.Fatal(got, "streams")
		}
		for i%2 == 0 && len(conns) > 0 {
			_ = (<-conns).Close()
		}
		for _, s := range streams {
			_ = s.resp.Body.Close()
		}
		two.pool.CloseIdleConnections()
		comesTrue(t, "gone", func() bool { return n.server.Stats().Connections == 0 })
	}
	comesTrue(t, "as many goroutines as before", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// While a server stops, what is asked over HTTP/2 is answered, and the next request is to go by
// another connection, which may be that of another server.
func TestHTTP2Draining(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	two := n.overHTTP2()
	slow, _ := n.rawWS("/ws/c")
	stopped := make(chan struct{})
	two.warm()
	go func() { defer close(stopped); n.stop() }()
	comesTrue(t, "draining", func() bool { status, _ := n.get("/readyz"); return status == http.StatusServiceUnavailable })
	if resp, body, reused := two.requestOn("GET", "/sse/c"); resp.StatusCode != http.StatusOK || !strings.Contains(body, "draining") || !reused {
		t.Error(resp, body, reused)
	}
	if _, _, reused := two.requestOn("GET", "/healthz"); reused {
		t.Error("it comes back on the same connection")
	}
	_ = slow.Close()
	<-stopped
}

// What keeps pages of other sites out keeps them out over HTTP/2, where a request has its host in a field
// of its own (RFC 9113, section 8.3.1).
func TestHTTP2OtherSites(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{}).overHTTP2()
	for name, c := range map[string]struct {
		host, origin string
		status       int
		code         string
	}{
		"own host":        {"example.com", "", http.StatusOK, ""},
		"own origin":      {"example.com", "https://example.com", http.StatusOK, ""},
		"rebound name":    {"evil.example", "", http.StatusMisdirectedRequest, "host_not_allowed"},
		"another site":    {"example.com", "https://evil.example", http.StatusForbidden, "origin_not_allowed"},
		"its own host":    {"evil.example", "https://evil.example", http.StatusMisdirectedRequest, "host_not_allowed"},
		"an opaque frame": {"example.com", "null", http.StatusForbidden, "origin_not_allowed"},
	} {
		r, _ := http.NewRequest(http.MethodPost, "http://"+n.addr+"/publish/c?message=x", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		resp, err := n.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != c.status || !strings.Contains(string(body), c.code) {
			t.Errorf("%s: %s %s %s", name, resp.Proto, resp.Status, body)
		}
	}
}
