package server_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// handler returns the handler of a server of its own, as an embedder has it: what
// is asked of it is for any Host.
func handler(t testing.TB, o server.Options) http.Handler {
	t.Helper()
	if o.Broker == nil {
		o.Broker = memory.New()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s, err := server.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = o.Broker.Close() })
	return s.Handler()
}

// ask returns the answer to a request for example.com. headers are names and
// values in turn.
func ask(h http.Handler, method, target string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
			continue
		}
		r.Header.Add(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// A browser that asks whether a page may use a route is told so on every route
// that pages use, those of all transports included.
func TestFoundPreflightOnEveryRoute(t *testing.T) {
	h := handler(t, server.Options{AllowOrigins: []string{"https://app.example"}})
	routes := map[string]string{"/publish": "POST", "/publish/chat": "POST", "/history/chat": "GET, DELETE", "/presence/chat": "GET"}
	for _, name := range transport.Names() {
		routes["/"+name], routes["/"+name+"/chat"] = "GET", "GET"
	}
	routes["/sse"] = "GET, POST" // with a body that names channels
	for path, method := range routes {
		resp := ask(h, "OPTIONS", path, "Origin", "https://app.example",
			"Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "last-event-id")
		got := resp.Header
		if resp.StatusCode != http.StatusNoContent || got.Get("Access-Control-Allow-Origin") != "https://app.example" ||
			got.Get("Access-Control-Allow-Methods") != method || got.Get("Vary") != "Origin" {
			t.Errorf("%s: %s %v", path, resp.Status, got)
		}
		allowed := strings.Split(strings.ToLower(got.Get("Access-Control-Allow-Headers")), ", ")
		for _, name := range []string{"content-type", "idempotency-key", "last-event-id", "cache-control", "authorization", "traceparent"} {
			if !strings.Contains(strings.Join(allowed, " "), name) {
				t.Errorf("%s: the header %s is not allowed", path, name)
			}
		}
		if resp := ask(h, "OPTIONS", path, "Origin", "https://evil.example"); resp.StatusCode != http.StatusForbidden ||
			resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s for a foreign page: %s %v", path, resp.Status, resp.Header)
		}
		if resp := ask(h, "PATCH", path); resp.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(resp.Header.Get("Allow"), method[:3]) {
			t.Errorf("PATCH %s: %s, Allow %q", path, resp.Status, resp.Header.Get("Allow"))
		}
	}
}

// Who is let in, and with the user's cookies or without: a page that only "*" or
// "null" lets in is any page there is.
func TestFoundOrigins(t *testing.T) {
	const no, without, with = "no", "without cookies", "with cookies"
	for _, c := range []struct{ list, host, origin, want string }{
		{"", "example.com", "http://example.com", with},
		{"", "example.com", "https://EXAMPLE.com:443", with},
		{"", "example.com:8000", "http://example.com:8000", with},
		{"", "example.com", "http://example.com:81", no},
		{"", "example.com", "http://example.com.", no},
		{"", "example.com", "null", no},
		{"", "[::1]:8000", "http://[::1]:8000", with},
		{"", "[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000", with},
		{"", "[::1]:8000", "http://[::1]:8001", no},
		{"", "[::1]", "http://[::2]", no},

		{"*", "example.com", "https://any.example", without},
		{"*", "example.com", "null", without},
		{"*", "example.com", "garbage", without},
		{"*", "example.com", "http://example.com", with},
		{"*,https://app.example", "example.com", "https://app.example", with},
		{"null", "example.com", "null", without},
		{"null", "example.com", "https://app.example", no},

		{"https://app.example", "example.com", "https://app.example", with},
		{"https://App.Example:443", "example.com", "HTTPS://APP.EXAMPLE", with},
		{"https://app.example", "example.com", "http://app.example", no},
		{"https://app.example", "example.com", "https://app.example:8443", no},
		{"https://app.example", "example.com", "https://x.app.example", no},
		{"https://app.example", "example.com", "https://app.example.", no},
		{"https://app.example.", "example.com", "https://app.example.", with},
		{"https://app.example", "example.com", "https://app.example.evil", no},
		{"https://app.example", "example.com", "https://evilapp.example", no},
		{"https://app.example", "example.com", "https://app.example/", no},
		{"https://app.example", "example.com", "https://u@app.example", no},
		{"https://xn--mnchen-3ya.example", "example.com", "https://xn--mnchen-3ya.example", with},
		{"http://[2001:DB8::1]:8000", "example.com", "http://[2001:db8::1]:8000", with},
		{"http://[2001:db8:0::1]:8000", "example.com", "http://[2001:db8::1]:8000", with},
		{"capacitor://localhost", "example.com", "capacitor://localhost", with},

		{"https://*.example.org", "example.com", "https://a.example.org", with},
		{"https://*.example.org", "example.com", "https://a.b.Example.ORG:443", with},
		{"https://*.example.org", "example.com", "https://example.org", no},
		{"https://*.example.org", "example.com", "https://.example.org", no},
		{"https://*.example.org", "example.com", "https://evilexample.org", no},
		{"https://*.example.org", "example.com", "https://a.example.org.evil", no},
		{"https://*.example.org", "example.com", "http://a.example.org", no},
		{"https://*.example.org", "example.com", "https://a.example.org:8443", no},
		{"https://*.example.org:8443", "example.com", "https://a.example.org:8443", with},
	} {
		var list []string
		if c.list != "" {
			list = strings.Split(c.list, ",")
		}
		resp := ask(handler(t, server.Options{AllowOrigins: list}), "GET", "/sse", "Host", c.host, "Origin", c.origin)
		got, h := no, resp.Header
		switch {
		case resp.StatusCode == http.StatusForbidden:
		case h.Get("Access-Control-Allow-Origin") != c.origin:
			got = "answered for " + h.Get("Access-Control-Allow-Origin")
		case h.Get("Access-Control-Allow-Credentials") == "true":
			got = with
		default:
			got = without
		}
		if got != c.want || h.Get("Vary") != "Origin" {
			t.Errorf("allowed %q, host %s, origin %s: %s, want %s", c.list, c.host, c.origin, got, c.want)
		}
	}
}

// What cannot be matched is refused at the start.
func TestFoundOriginsThatMakeNoSense(t *testing.T) {
	for _, origin := range []string{
		"", "example.com", "https://", "https://*", "https://*.", "https://a.*.example", "https://*a.example", "https://*.*.example", "*.example.com",
		"https://example.com/", "https://example.com?x", "https://u@example.com", "https://example.com:99999", "https://example.com:080",
		"https://münchen.example", "https://a..example", "https://exa mple", "https://*.127.0.0.1", "https://*.[::1]", "NULL", "nonsense",
	} {
		if server.CheckOrigin(origin) == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
	for _, host := range []string{"", "a:80", "https://a", "a/b", "*.a", "münchen.example", "a b", "."} {
		if server.CheckHost(host) == nil {
			t.Errorf("the host %q is accepted", host)
		}
	}
}

// A server on loopback, and one that has been told its names, answers for them,
// localhost and IP addresses only: any other name may be a stranger's that
// resolves to this server. Probes of health may come by any.
func TestFoundHosts(t *testing.T) {
	var out lines
	n := start(t, server.Options{Hosts: []string{"rt.Example.com"}, Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for _, c := range []struct {
		host, path string
		status     int
	}{
		{"localhost", "/", 200}, {"LOCALHOST:8000", "/", 200}, {"localhost.", "/", 200},
		{"127.0.0.1", "/", 200}, {"[::1]:8000", "/", 200}, {"192.0.2.7:80", "/", 200},
		{"rt.example.com", "/", 200}, {"RT.example.COM:443", "/", 200}, {"rt.example.com.", "/", 200},
		{"evil.example", "/", 421}, {"evil.example:8000", "/publish/c", 421}, {"localhost.evil.example", "/", 421},
		{"evil.example", "/nothing", 421}, {"127.1", "/", 421}, {"x.rt.example.com", "/ws/c", 421}, {"127.0.0.1.evil.example", "/", 421},
		{"evil.example", "/healthz", 200}, {"evil.example", "/readyz", 200},
	} {
		resp, body := n.raw("GET " + c.path + " HTTP/1.1\r\nHost: " + c.host + "\r\nOrigin: http://" + c.host + "\r\n\r\n")
		want := badInput{status: c.status}
		if c.status == 421 {
			want.code = "host_not_allowed"
		}
		t.Run(c.host+c.path, func(t *testing.T) { checkAnswer(t, want, resp, body) })
	}
	if got := out.containing("evil.example"); !strings.Contains(got, "--host") || strings.Count(got, "host=evil.example ") != 3 {
		t.Errorf("logged %q", got)
	}

	given := handler(t, server.Options{Hosts: []string{"rt.example.com"}})
	open := handler(t, server.Options{})
	for host, status := range map[string]int{"evil.example": 421, "rt.example.com": 200, "[::1]": 200} {
		if resp := ask(given, "GET", "/", "Host", host); resp.StatusCode != status {
			t.Errorf("embedded, with a list, %s: %s", host, resp.Status)
		}
		if resp := ask(open, "GET", "/", "Host", host); resp.StatusCode != 200 {
			t.Errorf("embedded, without a list, %s: %s", host, resp.Status)
		}
	}
	// Behind a proxy that does not pass Host on, pages of a listed name are our own.
	for origin, status := range map[string]int{
		"https://rt.example.com": 400, "http://rt.example.com": 400, "https://rt.example.com:8443": 403, "https://evil.example": 403,
	} {
		if resp := ask(given, "GET", "/sse", "Host", "127.0.0.1:8000", "Origin", origin); resp.StatusCode != status {
			t.Errorf("page of %s: %s", origin, resp.Status)
		}
	}
}

// A page that is refused is logged with both names, in a bounded number of lines, and with nothing that
// it made up.
func TestFoundRefusedOriginIsLogged(t *testing.T) {
	var out lines
	h := handler(t, server.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	for range 3 {
		ask(h, "GET", "/ws/c", "Host", "127.0.0.1:8000", "Origin", "https://rt.example.com")
		ask(h, "GET", "/ws/c", "Host", "a\x1b]52;b", "Origin", "https://x/forged")
	}
	got := out.containing("--allow-origin")
	if strings.Count(got, "origin=https://rt.example.com host=127.0.0.1 ") != 3 || strings.Count(got, "\n") != 6 ||
		strings.Contains(got, "forged") || strings.Contains(got, "]52") {
		t.Errorf("logged %q", got)
	}
	for i := range 1000 {
		ask(h, "GET", "/ws/c", "Origin", "https://x"+strings.Repeat("y", i%50)+".example")
	}
	if n := strings.Count(out.containing("--allow-origin"), "\n"); n > 40 {
		t.Errorf("%d lines", n)
	}
}

// lines is a log to look into.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// containing returns the lines that have a text in them.
func (l *lines) containing(text string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found strings.Builder
	for line := range strings.Lines(l.buf.String()) {
		if strings.Contains(line, text) {
			found.WriteString(line)
		}
	}
	return found.String()
}
