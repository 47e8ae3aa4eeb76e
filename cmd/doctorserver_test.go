package cmd_test

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A sin is what a proxy does wrong.
type sin func(proxy *httputil.ReverseProxy, next http.Handler) http.Handler

// behind returns the URL of a proxy in front of a server.
func behind(t *testing.T, backend string, sins ...sin) string {
	t.Helper()
	proxy := proxyTo(t, backend)
	var handler http.Handler = proxy
	for _, s := range sins {
		handler = s(proxy, handler)
	}
	front := httptest.NewServer(handler)
	t.Cleanup(front.Close)
	t.Cleanup(front.CloseClientConnections)
	return front.URL
}

// proxyTo returns a proxy without sins.
func proxyTo(t *testing.T, backend string) *httputil.ReverseProxy {
	t.Helper()
	target, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
	}}
}

func dropsUpgrades(_ *httputil.ReverseProxy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Upgrade")
		r.Header.Del("Connection")
		next.ServeHTTP(w, r)
	})
}

func rewritesHost(proxy *httputil.ReverseProxy, next http.Handler) http.Handler {
	rewrite := proxy.Rewrite
	proxy.Rewrite = func(r *httputil.ProxyRequest) {
		rewrite(r)
		r.Out.Host = r.Out.URL.Host
	}
	return next
}

// buffers keeps back the end of each answer that is a stream.
func buffers(_ *httputil.ReverseProxy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/sse/") {
			w = &keeping{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

// A keeping writer lets the headers through, and nothing else.
type keeping struct{ http.ResponseWriter }

func (k *keeping) Write(p []byte) (int, error) { return len(p), nil }
func (k *keeping) FlushError() error           { return http.NewResponseController(k.ResponseWriter).Flush() }

func limitsBodies(_ *httputil.ReverseProxy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 512<<10 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			_, _ = io.WriteString(w, "<html>nginx</html>")
			return
		}
		next.ServeHTTP(w, r)
	})
}

func hasAnotherClock(proxy *httputil.ReverseProxy, next http.Handler) http.Handler {
	proxy.ModifyResponse = func(resp *http.Response) error {
		resp.Header.Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		return nil
	}
	return next
}

// cutsTheSilent ends each connection that is switched or streams after a while.
func cutsTheSilent(_ *httputil.ReverseProxy, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" || strings.HasSuffix(r.URL.Path, "-silent") {
			w = &brief{ResponseWriter: w}
		}
		next.ServeHTTP(w, r)
	})
}

// A brief writer closes the connection that is taken over soon.
type brief struct{ http.ResponseWriter }

func (b *brief) Unwrap() http.ResponseWriter { return b.ResponseWriter }

func (b *brief) Write(p []byte) (int, error) {
	time.AfterFunc(100*time.Millisecond, func() {
		if conn, _, err := http.NewResponseController(b.ResponseWriter).Hijack(); err == nil {
			_ = conn.Close()
		}
	})
	return b.ResponseWriter.Write(p)
}

func subjects(stdout, severity string) (subjects []string) {
	for _, line := range regexp.MustCompile(`(?m)^`+severity+` +(\S+)`).FindAllStringSubmatch(stdout, -1) {
		subjects = append(subjects, line[1])
	}
	return subjects
}

// The doctor examines a running server from where its clients are, and names what a proxy does wrong: that
// and nothing else.
func TestDoctorOfAServer(t *testing.T) {
	for name, c := range map[string]struct {
		url       string // else of a server behind these sins
		sins      []sin
		bad, warn string
		says      string
	}{
		"nothing between": {says: "gets what it has missed"},
		"a good proxy":    {sins: []sin{}, says: "each message comes at once"},
		"upgrades":        {"", []sin{dropsUpgrades}, "websocket", "", "proxy_set_header Upgrade"},
		"host":            {"", []sin{rewritesHost}, "host", "", "proxy_set_header Host"},
		"buffers":         {"", []sin{buffers}, "stream resume silence", "", "proxy_buffering off"},
		"bodies":          {"", []sin{limitsBodies}, "large", "", "client_max_body_size"},
		"clock":           {"", []sin{hasAnotherClock}, "", "clock", "by 1h0m0s"},
		"silence":         {"", []sin{cutsTheSilent}, "silence", "", "proxy_read_timeout"},
		"two sins":        {"", []sin{dropsUpgrades, rewritesHost}, "host websocket", "", "$host"},
		"not there":       {"http://" + closedPort(t), nil, "reachable", "", "connection refused"},
		"no pregon":       {quietly(t, false, http.NotFound), nil, "reachable", "", "/healthz"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.url == "" { // one for each, as what another does would be among its figures
				c.url = serve(t, "--history", "5m", "--ping-interval", "1s", "--pong-timeout", "9s")
				if c.sins != nil {
					c.url = behind(t, c.url, c.sins...)
				}
			}
			code, stdout, stderr := run(t, "", "doctor", "--url", c.url)
			bad, warn := strings.Join(subjects(stdout, "bad"), " "), strings.Join(subjects(stdout, "warn"), " ")
			if bad != c.bad || warn != c.warn || !strings.Contains(stdout, c.says) || (code != 0) != (c.bad != "") {
				t.Errorf("exit %d, bad %q, warned %q; %s\n%s", code, bad, warn, stderr, stdout)
			}
		})
	}
}

// Over TLS the doctor says until when the certificate is good, and whether there is HTTP/2.
func TestDoctorOfAServerWithTLS(t *testing.T) {
	backend := serve(t, "--history", "5m", "--ping-interval", "1s", "--pong-timeout", "9s")
	for name, c := range map[string]struct {
		http2 bool
		warns string
		says  string
	}{"with HTTP/2": {true, "", "by HTTP/2.0."}, "without": {false, "http/2", "six event streams"}} {
		t.Run(name, func(t *testing.T) {
			front := httptest.NewUnstartedServer(proxyTo(t, backend))
			front.EnableHTTP2 = c.http2
			front.StartTLS()
			defer front.Close()
			ca := filepath.Join(t.TempDir(), "ca.pem")
			if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: front.Certificate().Raw}), 0o600); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := run(t, "", "doctor", "--url", front.URL, "--ca", ca)
			if warned := strings.Join(subjects(stdout, "warn"), " "); code != 0 || warned != c.warns || !strings.Contains(stdout, c.says) || !strings.Contains(stdout, "ok    tls ") || !strings.Contains(stdout, "ok    websocket") {
				t.Errorf("exit %d, warned %q, %s\n%s", code, warned, stderr, stdout)
			}
		})
	}
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Where the doctor may not publish, it says what was not tried, and with a key it tries all.
func TestDoctorOfAServerWithKeys(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte("0123456789abcdefghijklmn"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := serve(t, "--publish-key", "@"+key, "--ping-interval", "1s", "--pong-timeout", "9s")
	code, stdout, stderr := run(t, "", "doctor", "--url", url)
	if code != 0 || !strings.Contains(stdout, "was not tried") || strings.Contains(stdout, "ok    large") {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}
	code, stdout, stderr = run(t, "", "doctor", "--url", url, "--token-file", key)
	if code != 0 || !strings.Contains(stdout, "ok    large") || !strings.Contains(stdout, "No history is kept") {
		t.Errorf("exit %d, %s\n%s", code, stderr, stdout)
	}
}

// What examines a server and what examines a broker are not mixed up.
func TestDoctorMistakes(t *testing.T) {
	for _, args := range [][]string{
		{"--url", "http://localhost:1", "--broker", "redis://localhost"},
		{"--url", "http://localhost:1", "--config", "pregon.yaml"},
		{"--admin-url", "http://localhost:1"}, {"--url", "http://localhost:1", "--admin-url", "localhost:8001"}, {"--ca", "ca.pem"}, {"--url", "localhost:8000"}, {"--timeout", "1ms"},
	} {
		if code, stdout, stderr := run(t, "", append([]string{"doctor"}, args...)...); code != 2 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit %d, %q, %q", args, code, stdout, stderr)
		}
	}
}
