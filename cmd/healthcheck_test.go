package cmd_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The health check says whether the server of this machine lives, by its exit code and one line.
func TestHealthcheck(t *testing.T) {
	url := serve(t, "--broker", "memory://")
	_, port, err := net.SplitHostPort(strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer secure.Close()
	elsewhere := quietly(t, false, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, url, http.StatusFound) })
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"where it listens":      {[]string{"--listen", "localhost:" + port}, 0, "ok"},
		"on all addresses":      {[]string{"--listen", ":" + port}, 0, "ok"},
		"on all of one family":  {[]string{"--listen", "0.0.0.0:" + port}, 0, "ok"},
		"by its URL":            {[]string{"--url", url}, 0, "ok"},
		"with --acme":           {[]string{"--listen", secure.Listener.Addr().String(), "--acme", "a.example"}, 0, "ok"},
		"with a certificate":    {[]string{"--listen", secure.Listener.Addr().String(), "--tls-cert", "cert.pem"}, 0, "ok"},
		"nobody":                {[]string{"--url", "http://" + closedPort(t)}, 1, "connection refused"},
		"a redirect":            {[]string{"--url", elsewhere}, 1, "302"},
		"no pregon":             {[]string{"--url", quietly(t, false, http.NotFound)}, 1, "404"},
		"another's certificate": {[]string{"--url", secure.URL}, 1, "certificate"},
		"no address":            {[]string{"--listen", "8000"}, 2, ":8000"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := run(t, "", append([]string{"healthcheck"}, c.args...)...)
			if code != c.code || !strings.Contains(stdout+stderr, c.says) || strings.Count(stdout+stderr, "\n") != 1 {
				t.Errorf("exit %d, %q, %q", code, stdout, stderr)
			}
		})
	}
}
