package acme

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	for name, value := range map[string]string{"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"} {
		_ = os.Setenv(name, value)
	}
	folder, err := os.MkdirTemp("", "acme")
	if err == nil {
		err = build(folder)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) { _ = os.RemoveAll(folder); os.Exit(code) }),
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks")) // which has no end
}

const obtained = "acme: a new certificate is served"

// A certificate is obtained for each name, by the challenge over TLS or, where the authority does not get
// there, by that of the port without TLS. It outlives the server, which then orders none, and asks nobody.
func TestObtained(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"tls-alpn-01", "http-01"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			p := openPorts(t)
			asked := portOf(p.https)
			if way == "http-01" {
				asked = closedPort(t)
			}
			a, folder := startAuthority(t, portOf(p.http), asked, 0), filepath.Join(t.TempDir(), "deep", "acme")
			s := start(t, a, p, folder, "rt.example.test", "www.example.test")
			s.says(1, "terms of service", "are accepted")
			s.says(2, obtained)
			if way == "http-01" {
				s.says(1, "the authority refuses", "challenge=tls-alpn-01", "host=rt.example.test")
			}
			check(t, s, a)
			orders := a.orders.Load()
			s.stop()
			if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
				t.Error(info.Mode(), err)
			}
			a.away.Store(true)
			s = start(t, a, p, folder, "rt.example.test", "www.example.test")
			check(t, s, a)
			if got := a.orders.Load(); got != orders {
				t.Errorf("%d orders after another start, want %d", got, orders)
			}
		})
	}
}

// check sees whether each name has its certificate, others get the first one, and what is no business
// of strangers is refused.
func check(t *testing.T, s *server, a *authority) {
	t.Helper()
	for asked, good := range map[string]string{
		"rt.example.test": "rt.example.test", "WWW.example.test": "www.example.test", "localhost": "rt.example.test", "": "rt.example.test",
	} {
		if _, err := s.handshake(a, asked, good, "h2"); err != nil {
			t.Errorf("asked for %q: %v", asked, err)
		}
	}
	if _, err := s.handshake(a, "rt.example.test", "", "acme-tls/1"); err == nil {
		t.Error("a stranger gets the answer to a challenge")
	}
	for address, want := range map[string]int{
		"rt.example.test/x": 308, "evil.test/x": 421, "rt.example.test/.well-known/acme-challenge/none": 404,
		"rt.example.test/.well-known/acme-challenge/..%2frt.example.test": 404, "evil.test/.well-known/acme-challenge/none": 404,
	} {
		if got := s.plainly(address); got != want {
			t.Errorf("%s: %d, want %d", address, got, want)
		}
	}
}

// plainly asks for an address without TLS, and returns the status.
func (s *server) plainly(address string) int {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://"+address, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.URL.Host = s.ports.http.Addr().String()
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// closedPort returns a port at which nobody listens.
func closedPort(t *testing.T) int {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return portOf(l)
}

// A certificate that nears its end is renewed. Meanwhile every handshake gets one that is good.
func TestRenewed(t *testing.T) {
	t.Parallel()
	p := openPorts(t)
	a := startAuthority(t, portOf(p.http), portOf(p.https), 15)
	s := start(t, a, p, t.TempDir(), "rt.example.test")
	s.says(1, obtained)
	serials := map[string]bool{}
	for len(serials) < 2 {
		c, err := s.handshake(a, "rt.example.test", "rt.example.test")
		if err != nil {
			t.Fatalf("after %d certificates: %v", len(serials), err)
		}
		serials[c.SerialNumber.String()] = true
	}
	s.says(2, obtained)
}

// Where the authority is away, handshakes are refused, all else goes on, and it is asked again.
func TestAuthorityAway(t *testing.T) {
	t.Parallel()
	p := openPorts(t)
	a := startAuthority(t, portOf(p.http), portOf(p.https), 0)
	a.away.Store(true)
	s := start(t, a, p, t.TempDir(), "rt.example.test")
	s.says(1, "acme: no certificate could be obtained", "host=rt.example.test", "the directory of the authority")
	if _, err := s.handshake(a, "rt.example.test", ""); err == nil {
		t.Error("there is a certificate")
	}
	if got := s.plainly("rt.example.test/x"); got != 308 {
		t.Error(got)
	}
	a.away.Store(false)
	s.says(1, obtained)
	if _, err := s.handshake(a, "rt.example.test", "rt.example.test"); err != nil {
		t.Error(err)
	}
}

// Nodes that share a folder answer for each other: the authority comes to whichever it finds. What one has obtained the
// others serve, without an order.
func TestNodesShareAFolder(t *testing.T) {
	t.Parallel()
	found, hidden, third := openPorts(t), openPorts(t), openPorts(t)
	a, folder := startAuthority(t, portOf(found.http), portOf(found.https), 0), t.TempDir()
	s := start(t, a, found, folder, "other.example.test")
	s.says(1, obtained)
	s = start(t, a, hidden, folder, "rt.example.test")
	s.says(1, obtained)
	one, err := s.handshake(a, "rt.example.test", "rt.example.test")
	if err != nil {
		t.Fatal(err)
	}
	orders := a.orders.Load()
	s = start(t, a, third, folder, "rt.example.test")
	s.says(1, "sent to https")
	two, err := s.handshake(a, "rt.example.test", "rt.example.test")
	if err != nil || !one.Equal(two) || a.orders.Load() != orders {
		t.Errorf("%v, the same %v, %d orders, want %d", err, one.Equal(two), a.orders.Load(), orders)
	}
}
