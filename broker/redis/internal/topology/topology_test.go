package topology_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/topology"
	"github.com/pregon/pregon/broker/redis/internal/wire"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// What a sentinel says besides the address of a master.
const (
	knowsNone = ""
	isSilent  = "silent"
	isDown    = "down"
)

// A sentinel is a fake Sentinel, which says what the test says.
type sentinel struct {
	*redistest.Fake
	says  atomic.Pointer[string]
	asked chan struct{} // has a token after each question
}

// await returns when s has been asked, and has answered, since the call.
func (s *sentinel) await() {
	for range 3 { // one token may be old, and one question under way
		<-s.asked
	}
}

func startSentinel(t *testing.T, says string) *sentinel {
	t.Helper()
	s := &sentinel{asked: make(chan struct{}, 1)}
	s.says.Store(&says)
	s.Fake = redistest.StartFake(t, func(args []string) string {
		said := *s.says.Load()
		select {
		case s.asked <- struct{}{}:
		default:
		}
		host, port, err := net.SplitHostPort(said)
		switch {
		case said == isSilent:
			return redistest.Silent
		case err != nil:
			return "*-1\r\n"
		}
		return "*2\r\n" + redistest.Bulk(host) + redistest.Bulk(port)
	})
	if says == isDown {
		s.Stop()
	}
	return s
}

func startServer(t *testing.T) string {
	t.Helper()
	return redistest.StartFake(t, func([]string) string { return "+OK\r\n" }).Addr()
}

// settings are generous, so that a busy machine does not get in the way.
func settings(addr string) wire.Settings {
	return wire.Settings{Network: "tcp", Addr: addr, DialTimeout: 10 * time.Second, Timeout: 10 * time.Second}
}

func watchedBy(addrs []string, server wire.Settings, interval time.Duration) *topology.Sentinels {
	return topology.NewSentinels(topology.SentinelOptions{Name: "main", Addrs: addrs, Server: server, Interval: interval})
}

// The master is what more than half of the Sentinels say, and where so many do not answer,
// what more than half of those do that answer.
func TestVote(t *testing.T) {
	t.Parallel()
	a, b := startServer(t), startServer(t)
	for _, test := range []struct {
		name  string
		says  []string
		twice bool // the first is named twice
		addr  string
		err   error
	}{
		{"one", []string{a}, false, a, nil},
		{"all", []string{a, a, a}, false, a, nil},
		{"most", []string{a, b, a}, false, a, nil},
		{"one answers", []string{a, isDown, isDown}, false, a, nil},
		{"one does not", []string{a, isDown, a}, false, a, nil},
		{"one knows none", []string{a, knowsNone, a}, false, a, nil},
		{"split", []string{a, b}, false, "", reply.ErrDisagree},
		{"split, one down", []string{a, b, isDown}, false, "", reply.ErrDisagree},
		{"one votes twice", []string{a, b}, true, "", reply.ErrDisagree},
		{"none known", []string{knowsNone, knowsNone}, false, "", broker.ErrDenied},
		{"none known, one down", []string{knowsNone, isDown}, false, "", broker.ErrUnavailable},
		{"none answers", []string{isDown, isDown}, false, "", broker.ErrUnavailable},
		{"no address", []string{"evil host:1"}, false, "", broker.ErrUnavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var addrs []string
			for _, says := range test.says {
				addrs = append(addrs, startSentinel(t, says).Addr())
			}
			if test.twice {
				addrs = append(addrs, addrs[0])
			}
			c, err := watchedBy(addrs, settings(addrs[0]), time.Minute).Connect(t.Context())
			if err == nil {
				defer c.Close()
			}
			if !errors.Is(err, test.err) || err == nil && c.Addr != test.addr {
				t.Fatalf("Connect returned %v, %v; want %s, %v", c, err, test.addr, test.err)
			}
		})
	}
}

// Sentinels that accept a connection and say nothing take no more than half of
// DialTimeout: there is time left to connect.
func TestSilentSentinels(t *testing.T) {
	t.Parallel()
	a := startServer(t)
	addrs := []string{startSentinel(t, isSilent).Addr(), startSentinel(t, a).Addr(), startSentinel(t, isSilent).Addr()}
	server := settings(addrs[0])
	server.DialTimeout = 2 * time.Second
	c, err := watchedBy(addrs, server, time.Minute).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.Addr != a {
		t.Errorf("connected to %s, want %s", c.Addr, a)
	}
}

// ended returns why c was ended.
func ended(t *testing.T, c *wire.Conn) error {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err
}

// When the Sentinels name another master, Watch ends connections to the old one, and those
// to the new one stay. Where they name none, all stay.
func TestWatch(t *testing.T) {
	t.Parallel()
	a, b := startServer(t), startServer(t)
	s := startSentinel(t, a)
	m := watchedBy([]string{s.Addr()}, settings(s.Addr()), 10*time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.Watch(ctx); close(done) }()

	old, err := m.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	none := knowsNone
	s.says.Store(&none)
	s.await()
	if reason := old.Reason(nil); reason != nil {
		t.Fatalf("it was ended where no master was named: %v", reason)
	}
	s.says.Store(&b)
	if err := ended(t, old); !errors.Is(err, reply.ErrMoved) {
		t.Errorf("the old connection ended with %v", err)
	}
	next, err := m.Connect(t.Context())
	if err != nil || next.Addr != b {
		t.Fatalf("Connect returned %v, %v; want %s", next, err, b)
	}
	s.await()
	if reason := next.Reason(nil); reason != nil {
		t.Errorf("the new connection was ended: %v", reason)
	}
	next.Close()
	cancel()
	<-done
}

// A server that has said that it is a replica loses all its connections, and the
// Sentinels are asked again at once, though they were asked a moment ago.
func TestDemoted(t *testing.T) {
	t.Parallel()
	a, b := startServer(t), startServer(t)
	s := startSentinel(t, a)
	m := watchedBy([]string{s.Addr()}, settings(s.Addr()), time.Minute)
	old, err := m.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.says.Store(&b)
	m.Demoted()
	if err := ended(t, old); !errors.Is(err, reply.ErrNotMaster) {
		t.Errorf("the connection ended with %v", err)
	}
	next, err := m.Connect(t.Context())
	if err != nil || next.Addr != b {
		t.Fatalf("Connect returned %v, %v; want %s", next, err, b)
	}
	next.Close()
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		says     []string
		severity broker.Severity
		detail   string
	}{
		{[]string{"1.2.3.4:1", "1.2.3.4:1", "1.2.3.4:1"}, broker.SeverityOK, "3 of 3"},
		{[]string{"1.2.3.4:1", "1.2.3.4:1", isDown}, broker.SeverityWarning, "2 of 3"},
		{[]string{"1.2.3.4:1", "1.2.3.4:1", "1.2.3.4:2"}, broker.SeverityWarning, "2 of 3"},
		{[]string{"1.2.3.4:1", "1.2.3.4:1"}, broker.SeverityWarning, "2 of 2"},
		{[]string{isDown}, broker.SeverityWarning, "0 of 1"},
	} {
		var addrs []string
		for _, says := range test.says {
			addrs = append(addrs, startSentinel(t, says).Addr())
		}
		findings := watchedBy(addrs, settings(addrs[0]), time.Minute).Findings(t.Context())
		if len(findings) != 1 || findings[0].Severity != test.severity || !strings.HasPrefix(findings[0].Detail, test.detail) {
			t.Errorf("%q: %+v", test.says, findings)
		}
	}
}

// A fixed master is always at its address, and nothing ends its connections.
func TestFixed(t *testing.T) {
	t.Parallel()
	addr := startServer(t)
	var m topology.Master = topology.Fixed{Settings: settings(addr)}
	m.Watch(t.Context())
	c, err := m.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m.Demoted()
	if c.Addr != addr || c.Reason(nil) != nil || len(m.Findings(t.Context())) > 0 {
		t.Errorf("connected to %s, ended by %v", c.Addr, c.Reason(nil))
	}
}

// DemandMaster takes a server's word alone. Greet takes any answer where the server does
// not say, and never a replica.
func TestGreet(t *testing.T) {
	t.Parallel()
	const other = "ERR something else"
	for answer, test := range map[string]struct{ demand, greet string }{
		"*1\r\n" + redistest.Bulk("master"): {"", ""},
		"*1\r\n" + redistest.Bulk("slave"):  {reply.ErrNotMaster.Error(), reply.ErrNotMaster.Error()},
		"*0\r\n":                            {reply.ErrNotMaster.Error(), reply.ErrNotMaster.Error()},
		"-NOPERM no ROLE for you\r\n":       {"NOPERM", ""},
		"-ERR unknown command 'role'\r\n":   {"ERR unknown", ""},
		"-" + other + "\r\n":                {other, other},
	} {
		server := redistest.StartFake(t, func([]string) string { return answer })
		server.HasRole = true
		for name, use := range map[string]struct {
			greet func(context.Context, *goredis.Conn) error
			want  string
		}{"demand": {topology.DemandMaster, test.demand}, "greet": {topology.Greet, test.greet}} {
			s := settings(server.Addr())
			s.Greet = use.greet
			client := goredis.NewClient(s.Client(func(ctx context.Context, _, _ string) (net.Conn, error) {
				return s.Dial(ctx, s.Addr, nil)
			}))
			err := client.Ping(t.Context()).Err()
			if use.want == "" && err != nil || use.want != "" && (err == nil || !strings.Contains(err.Error(), use.want)) {
				t.Errorf("%s, where the server says %q: %v, want %q", name, answer, err, use.want)
			}
			client.Close()
		}
	}
}

// Names of hosts are repeated in errors, so they are names.
func TestHostAndPort(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"example.com": true, "10.0.0.1": true, "::1": true, "fe80::1%eth0": true, "my_host-1": true,
		"": false, "a b": false, "a\nb": false, "a/b": false, "a\"b": false, strings.Repeat("a", 254): false,
	} {
		if topology.IsHost(text) != want {
			t.Errorf("host %q: %v", text, !want)
		}
	}
	for text, want := range map[string]bool{"1": true, "65535": true, "0": false, "65536": false, "-1": false, "": false, "http": false} {
		if topology.IsPort(text) != want {
			t.Errorf("port %q: %v", text, !want)
		}
	}
}
