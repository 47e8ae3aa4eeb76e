package redirect_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/cmd/redirect"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start serves until the test ends, and returns the address.
func start(t *testing.T, s *redirect.Server) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// ask sends a request as it stands, and returns the answer with its body.
func ask(t *testing.T, addr, request string) (resp *http.Response, body string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	resp, err = http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	text, err := io.ReadAll(resp.Body) // which ends with the connection
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

// Each request for a name of the server is sent to https, whatever its method, and any other is
// refused. Nothing of a request gets into the answer but its path and query.
func TestRedirect(t *testing.T) {
	const get, host = "GET /ws/a%2Fb?x=1&y=%20 HTTP/1.1\r\n", "Host: rt.example.com\r\n"
	var asked string
	quiet := slog.New(slog.DiscardHandler)
	named := redirect.New(redirect.Options{Port: "8443", Logger: quiet, Challenges: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.Host + r.URL.Path
	})})
	named.SetNames([]string{"RT.example.com", "::1"})
	nameless := redirect.New(redirect.Options{Port: "8443", Logger: quiet})
	for _, c := range []struct {
		server        *redirect.Server
		request       string
		status        int
		where, answer string
	}{
		{named, get + host, 308, "https://rt.example.com/ws/a%2Fb?x=1&y=%20", ""},
		{named, get + "Host: rt.EXAMPLE.com.:80\r\n", 308, "https://rt.example.com/ws/a%2Fb?x=1&y=%20", ""},
		{named, get + "Host: rt.example.com:8080\r\n", 308, "https://rt.example.com:8443/ws/a%2Fb?x=1&y=%20", ""},
		{named, get + "Host: [::1]:8080\r\n", 308, "https://[::1]:8443/ws/a%2Fb?x=1&y=%20", ""},
		{named, get + "Host: [::1]\r\n", 308, "https://[::1]/ws/a%2Fb?x=1&y=%20", ""},
		{named, get + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n" + host, 308, "https://rt.example.com/ws/a%2Fb?x=1&y=%20", ""},
		{named, "POST /publish/a?message=x HTTP/1.1\r\nContent-Length: 100000000\r\n" + host, 308, "https://rt.example.com/publish/a?message=x", ""},
		{named, "GET /ws/a?token=s3cret&x=1&%74oken=s3cret&%zz=s3cret HTTP/1.1\r\n" + host, 308, "https://rt.example.com/ws/a?x=1", ""},
		{named, "GET //evil.example/ HTTP/1.1\r\n" + host, 308, "https://rt.example.com//evil.example/", ""},
		{named, "OPTIONS * HTTP/1.1\r\n" + host, 200, "", ""}, // by net/http
		{named, "GET /%0d%0aSet-Cookie:%20a=b HTTP/1.1\r\n" + host, 308, "https://rt.example.com/%0d%0aSet-Cookie:%20a=b", ""},
		{named, "GET http://evil.example/ HTTP/1.1\r\n" + host, 421, "", "host_not_allowed"},
		{named, get + "Host: evil.example\r\n", 421, "", "host_not_allowed"},
		{named, get + "Host: 127.0.0.1\r\n", 421, "", "host_not_allowed"},
		{named, "GET / HTTP/1.0\r\n", 421, "", "host_not_allowed"},
		{nameless, get + "Host: evil.example\r\n", 308, "https://evil.example/ws/a%2Fb?x=1&y=%20", ""},
		{nameless, get + "Host: 127.0.0.1:8080\r\n", 308, "https://127.0.0.1:8443/ws/a%2Fb?x=1&y=%20", ""},
		{nameless, get + "Host: [fe80::1%25eth0]\r\n", 421, "", "host_not_allowed"},
		{nameless, get + "Host: a@evil.example\r\n", 400, "", "malformed Host"}, // by net/http
		{nameless, get + "Host: a..b\r\n", 421, "", "host_not_allowed"},
		{nameless, "GET / HTTP/1.0\r\n", 421, "", "host_not_allowed"},
		{nameless, "GET /.well-known/acme-challenge/x HTTP/1.1\r\n" + host, 308, "https://rt.example.com/.well-known/acme-challenge/x", ""},
	} {
		resp, body := ask(t, start(t, c.server), c.request+"\r\n")
		if where := resp.Header.Get("Location"); resp.StatusCode != c.status || where != c.where || !strings.Contains(body, c.answer) || len(resp.Header["Set-Cookie"]) > 0 {
			t.Errorf("%q: %d %q %q; want %d %q", c.request, resp.StatusCode, where, body, c.status, c.where)
		}
	}
	resp, _ := ask(t, start(t, named), "GET /.well-known/acme-challenge/x HTTP/1.1\r\nHost: rt.example.com:8080\r\n\r\n")
	if resp.StatusCode != 200 || asked != "rt.example.com/.well-known/acme-challenge/x" {
		t.Errorf("a challenge is answered with %d, of %q", resp.StatusCode, asked)
	}
}

// The names may change while it serves.
func TestNamesChange(t *testing.T) {
	s := redirect.New(redirect.Options{Port: "443", Logger: slog.New(slog.DiscardHandler)})
	addr := start(t, s)
	for i, status := range []int{308, 421, 308} {
		s.SetNames([][]string{nil, {"b.example"}, {"a.example"}}[i])
		if resp, _ := ask(t, addr, "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n"); resp.StatusCode != status || status == 308 && resp.Header.Get("Location") != "https://a.example/" {
			t.Errorf("%d: %d %q", i, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
}

// Connections that send nothing keep others waiting for no longer than a request may take, and an end
// waits for none of them.
func TestSilentConnections(t *testing.T) {
	t.Parallel()
	addr := start(t, redirect.New(redirect.Options{Port: "443", Logger: slog.New(slog.DiscardHandler)}))
	for range 100 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
	}
	if resp, body := ask(t, addr, fmt.Sprintf("GET / HTTP/1.1\r\nHost: %s\r\n\r\n", addr)); resp.StatusCode != 308 {
		t.Error(resp.Status, body)
	}
}
