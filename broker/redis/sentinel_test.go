package redis_test

import (
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// When another server becomes the master, because an operator wants it or because
// the old one is dead, publishing and hearing go on there by themselves; what was
// accepted and not heard lies in a gap that was reported.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		history broker.Retention
		happens func(s *redistest.Sentinels)
	}{
		{"asked for", broker.Retention{}, (*redistest.Sentinels).Failover},
		{"asked for, with a history", retention, (*redistest.Sentinels).Failover},
		{"master killed", broker.Retention{}, (*redistest.Sentinels).KillMaster},
		{"master and a Sentinel killed", broker.Retention{}, func(s *redistest.Sentinels) {
			s.Watch[0].Kill()
			s.KillMaster()
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := redistest.StartSentinels(t, 3)
			o := watched(t, s.URL())
			o.History = c.history
			b := newBroker(t, o)
			l := &load{t: t, broker: b, quit: make(chan struct{})}
			heard := listen(newFeed(t, b, "load"))
			l.begin()
			await(t, heard.more)
			old, began := s.Master(), time.Now()
			c.happens(s)
			await(t, heard.gap)
			await(t, heard.more)
			t.Logf("messages again after %v", time.Since(began).Round(time.Millisecond))
			accepted := l.end()
			if now := s.Master(); now == old || now.MustDo("PUBSUB", "NUMSUB", "load") != "load\n1" {
				t.Error("the Feed is not on the new master")
			}
			publish(t, b, "load", "0") // the last
			heard.check(t, accepted)
		})
	}
}

// An old master that comes back believing that it still is one gets nothing: the
// Sentinels are believed.
func TestSentinelOldMasterReturns(t *testing.T) {
	s := redistest.StartSentinels(t, 3)
	b := newBroker(t, watched(t, s.URL()))
	f := newFeed(t, b, "chat")
	old := s.Master()
	s.KillMaster()
	hearGap(t, f, "chat")
	old.Restart()
	b.Close()
	b = newBroker(t, watched(t, s.URL()))
	f = newFeed(t, b, "chat")
	publish(t, b, "chat", "after")
	hear(t, f, "chat", "after")
	if n := old.MustDo("PUBSUB", "NUMSUB", "chat"); n != "chat\n0" {
		t.Errorf("the old master has subscribers: %q", n)
	}
}

// Dials succeed whatever becomes of a minority of the Sentinels, and where more
// are gone, by the word of those that are left; otherwise publishing and
// subscribing are errors of the right kind within the timeouts.
func TestSentinelAnswers(t *testing.T) {
	t.Parallel()
	const (
		right = iota
		wrong
		ignorant
		dead
		silent
	)
	server, other := redistest.Start(t), redistest.Start(t)
	for _, c := range []struct {
		name      string
		sentinels []int
		want      error
	}{
		{"one", []int{right}, nil},
		{"one of three is dead", []int{dead, right, right}, nil},
		{"one of three is silent", []int{silent, right, right}, nil},
		{"one is left", []int{dead, silent, right}, nil},
		{"one of three is behind", []int{wrong, right, right}, nil},
		{"one does not know the name", []int{ignorant, right}, nil},
		{"two disagree", []int{right, wrong}, broker.ErrUnavailable},
		{"all are dead", []int{dead, dead}, broker.ErrUnavailable},
		{"all are silent", []int{silent}, broker.ErrUnavailable},
		{"none knows the name", []int{ignorant, ignorant}, broker.ErrDenied},
		{"none that answers knows the name", []int{ignorant, dead}, broker.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			var addrs []string
			for _, kind := range c.sentinels {
				var addr string
				switch kind {
				case right:
					addr = startSentinel(t, server.Addr()).Addr()
				case wrong:
					addr = startSentinel(t, other.Addr()).Addr()
				case ignorant:
					addr = startSentinel(t, "").Addr()
				case dead:
					addr = unused(t)
				case silent:
					p := redistest.StartProxy(t, server.Addr())
					p.Silence()
					addr = p.Addr()
				}
				addrs = append(addrs, addr)
			}
			o := impatient(addrs[0])
			o.Master, o.Sentinels = "main", addrs[1:]
			b := newBroker(t, o)
			ctx := guard(t)
			_, err := b.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("hello")})
			if !errors.Is(err, c.want) {
				t.Errorf("Publish: error %v, want one that matches %v", err, c.want)
			}
			f, err := b.Feed(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.Subscribe(ctx, "chat"); !errors.Is(err, c.want) {
				t.Errorf("Subscribe: error %v, want one that matches %v", err, c.want)
			}
			if ctx.Err() != nil {
				t.Error("it took until the context ended")
			}
			if n := server.MustDo("PUBSUB", "NUMSUB", "chat"); c.want == nil && n != "chat\n1" {
				t.Errorf("NUMSUB is %q: the Feed is not on the server that most name", n)
			}
		})
	}
}

// A master that the Sentinels name no longer and that goes on as one, cut off from
// them, is left: by a Feed, and by publishers that have none.
func TestSentinelMoved(t *testing.T) {
	old, fresh := redistest.Start(t), redistest.Start(t)
	sentinel := startSentinel(t, old.Addr())
	o := options(sentinel.Addr())
	o.Master, o.Heartbeat = "main", time.Second
	b, publisher := newBroker(t, o), newBroker(t, o)
	f := newFeed(t, b, "chat")
	publish(t, publisher, "chat", "before")
	hear(t, f, "chat", "before")
	sentinel.name(fresh.Addr())
	hearGap(t, f, "chat")
	publish(t, b, "chat", "after")
	hear(t, f, "chat", "after")
	ctx := guard(t)
	for fresh.MustDo("CONFIG", "RESETSTAT"); !strings.Contains(fresh.MustDo("INFO", "commandstats"), "cmdstat_publish"); {
		_, err := publisher.Publish(ctx, broker.Message{Channel: "chat"})
		if err != nil && !errors.Is(err, broker.ErrUncertain) || ctx.Err() != nil {
			t.Fatalf("the publisher does not come: %v", err)
		}
	}
	if n := old.MustDo("PUBSUB", "NUMSUB", "chat"); n != "chat\n0" {
		t.Errorf("the old master still has subscribers: %q", n)
	}
}

// A server that answers that it is a replica, in the middle of a batch, gets
// nothing more, and no publication is sent twice: the next goes to the new master.
func TestSentinelReadOnly(t *testing.T) {
	demoted := redistest.StartFake(t, func(args []string) string {
		switch {
		case args[0] == "role":
			return role("master")
		case args[len(args)-1] == "1":
			return "-READONLY You can't write against a read only replica.\r\n"
		default:
			return ":1\r\n"
		}
	})
	demoted.HasRole = true
	fresh := redistest.Start(t)
	sentinel := startSentinel(t, demoted.Addr())
	o := options(sentinel.Addr())
	o.Master = "main"
	b := newBroker(t, o)
	publish(t, b, "chat", "before")
	sentinel.name(fresh.Addr())
	results := b.PublishBatch(guard(t), batchOf("chat", "chat"))
	if err := results[0].Err; err != nil {
		t.Errorf("the message before: %v", err)
	}
	if err := results[1].Err; !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
		t.Errorf("the message that was refused: error %v, want one that matches ErrUnavailable", err)
	}
	publish(t, b, "chat", "after")
	if stats := fresh.MustDo("INFO", "commandstats"); !strings.Contains(stats, "cmdstat_publish:calls=1,") {
		t.Errorf("the new master was not published to once:\n%s", stats)
	}
	b.Close()
	demoted.Stop()
	if n := len(demoted.Commands("publish")); n != 3 {
		t.Errorf("PUBLISH was sent %d times to the old master, want 3 times", n)
	}
}

// A server that says of itself that it is a replica is neither published to nor
// subscribed on, whatever the Sentinels say.
func TestSentinelNamesReplica(t *testing.T) {
	server := redistest.StartFake(t, func(args []string) string {
		if args[0] == "role" {
			return role("slave")
		}
		return redistest.Confirm(args)
	})
	server.HasRole = true
	o := options(startSentinel(t, server.Addr()).Addr())
	o.Master = "main"
	b := newBroker(t, o)
	_, err := b.Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "not the master") {
		t.Errorf("Publish: error %v, want one that matches ErrUnavailable and says why", err)
	}
	f, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Subscribe(guard(t), "chat"); !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "not the master") {
		t.Errorf("Subscribe: error %v, want one that matches ErrUnavailable and says why", err)
	}
	b.Close()
	server.Stop()
	if n := len(server.Commands("publish")) + len(server.Commands("subscribe")); n != 0 {
		t.Errorf("%d commands were sent to the replica", n)
	}
}

// The user and the password of the URL are the server's, and a Sentinel is not
// told them. Its own are in the Options.
func TestSentinelPasswords(t *testing.T) {
	server := redistest.Start(t, "--requirepass", "hunter2")
	sentinel := startSentinel(t, server.Addr())
	b := open(t, "redis://:hunter2@"+sentinel.Addr()+"/1?master=main")
	publish(t, b, "chat", "hello")
	if n := len(sentinel.Commands("auth")) + len(sentinel.Commands("select")); n != 0 {
		t.Error("the Sentinel was told what is for the server")
	}
	o := options(sentinel.Addr())
	o.Master, o.Password, o.SentinelPassword = "main", "hunter2", "hunter3"
	publish(t, newBroker(t, o), "chat", "hello")
	if auth := sentinel.Commands("auth"); len(auth) == 0 || auth[0][1] != "hunter3" {
		t.Error("the Sentinel was not told its password")
	}
}

// Users who may do no more than the package comment says can use Sentinels, and
// without ROLE the server is not used.
func TestSentinelPermissions(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t, 1)
	s.Watch[0].MustDo("ACL", "SETUSER", "asker", "on", ">hunter3", "+sentinel|get-master-addr-by-name")
	s.Master().MustDo("ACL", "SETUSER", "weak", "on", ">hunter2", "&chat", "+publish", "+subscribe", "+unsubscribe", "+ping")
	o := watched(t, s.URL())
	o.Username, o.Password, o.SentinelUsername, o.SentinelPassword = "weak", "hunter2", "asker", "hunter3"
	b := newBroker(t, o)
	if _, err := b.Publish(guard(t), broker.Message{Channel: "chat"}); !errors.Is(err, broker.ErrDenied) {
		t.Errorf("without ROLE: error %v, want one that matches ErrDenied", err)
	}
	s.Master().MustDo("ACL", "SETUSER", "weak", "+role")
	f := newFeed(t, b, "chat")
	publish(t, b, "chat", "hello")
	hear(t, f, "chat", "hello")
}

// A Sentinel that wants a password is an error that says so.
func TestSentinelRefuses(t *testing.T) {
	sentinel := redistest.StartFake(t, func([]string) string { return "-NOAUTH Authentication required.\r\n" })
	o := options(sentinel.Addr())
	o.Master = "main"
	_, err := newBroker(t, o).Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "Sentinel "+o.Addr+": the server says NOAUTH") {
		t.Errorf("error %v, want one that matches ErrDenied and says who refuses", err)
	}
}

// rediss is TLS to the Sentinels as well as to the server: a Sentinel without it
// is not asked.
func TestSentinelTLS(t *testing.T) {
	web := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	server := tlsFront(t, web.TLS.Certificates, redistest.Start(t).Addr())
	sentinel := startSentinel(t, server)
	secure := tlsFront(t, web.TLS.Certificates, sentinel.Addr())

	b := open(t, "rediss://"+secure+"?master=main&ca="+ca)
	f := newFeed(t, b, "chat")
	publish(t, b, "chat", "hello")
	hear(t, f, "chat", "hello")

	plain := startSentinel(t, server)
	_, err := open(t, "rediss://"+plain.Addr()+"?master=main&ca="+ca).Publish(guard(t), broker.Message{Channel: "chat"})
	if !errors.Is(err, broker.ErrDenied) && !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("plain text: error %v, want one that matches ErrDenied or ErrUnavailable", err)
	}
	if n := len(plain.Commands("sentinel")); n != 0 {
		t.Errorf("a Sentinel was asked %d times in plain text", n)
	}
}

// Diagnose says how many Sentinels agree, and warns where some do not.
func TestSentinelDiagnose(t *testing.T) {
	server := redistest.Start(t)
	all := []string{startSentinel(t, server.Addr()).Addr(), startSentinel(t, server.Addr()).Addr(), startSentinel(t, server.Addr()).Addr()}
	for _, c := range []struct {
		sentinels []string
		severity  broker.Severity
		detail    string
	}{
		{all, broker.SeverityOK, "3 of 3 "},
		{all[:1], broker.SeverityWarning, "1 of 1 "},
		{append([]string{unused(t)}, all...), broker.SeverityWarning, "3 of 4 "},
	} {
		o := options(c.sentinels[0])
		o.Master, o.Sentinels = "main", c.sentinels[1:]
		findings, err := newBroker(t, o).Diagnose(guard(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range findings {
			if f.Subject == "sentinels" && (f.Severity != c.severity || !strings.HasPrefix(f.Detail, c.detail)) {
				t.Errorf("%d Sentinels: finding %+v, want %q", len(c.sentinels), f, c.detail)
			}
		}
		if n := len(findings); findings[n-1].Subject != "sentinels" {
			t.Errorf("the last finding is %+v", findings[n-1])
		}
	}
}

// watched are options for a URL with real Sentinels. Once the master is gone, it
// is the Heartbeat that decides when that is noticed.
func watched(t *testing.T, link string) redis.Options {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := redis.ParseURL(u)
	if err != nil {
		t.Fatal(err)
	}
	o := options(parsed.Addr)
	o.Master, o.Sentinels, o.Heartbeat = parsed.Master, parsed.Sentinels, time.Second
	return o
}

// A sentinel is a fake Sentinel, which names what the test says.
type sentinel struct {
	*redistest.Fake
	master atomic.Pointer[string]
}

// startSentinel starts one that names addr as the master, or knows none where addr
// is empty.
func startSentinel(t *testing.T, addr string) *sentinel {
	t.Helper()
	s := &sentinel{}
	s.name(addr)
	s.Fake = redistest.StartFake(t, func(args []string) string {
		if args[0] != "sentinel" {
			return "+OK\r\n"
		}
		host, port, err := net.SplitHostPort(*s.master.Load())
		if err != nil {
			return "*-1\r\n"
		}
		return "*2\r\n" + redistest.Bulk(host) + redistest.Bulk(port)
	})
	return s
}

// name makes addr the master.
func (s *sentinel) name(addr string) { s.master.Store(&addr) }

// role is the answer to ROLE.
func role(name string) string { return "*3\r\n" + redistest.Bulk(name) + ":0\r\n*0\r\n" }

// unused returns an address at which nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
