package miniredis_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/miniredis"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *miniredis.Server {
	t.Helper()
	s, err := miniredis.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// The redis driver on the embedded server keeps the whole contract of package
// broker, and says so where a link was cut.
func TestConformance(t *testing.T) {
	var proxy *redistest.Proxy
	brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
		o := start(t).Options()
		proxy = redistest.StartProxy(t, o.Addr)
		o.Addr = proxy.Addr()
		return func(t *testing.T) broker.Broker {
			b, err := redis.New(o)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}, brokertest.WithCut(func(*testing.T, broker.Broker) { proxy.Cut() }))
}

// With a history it keeps the contract of that.
func TestConformanceOfHistory(t *testing.T) {
	brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
		o := start(t).Options()
		o.History = broker.Retention{MaxMessages: 100, MaxAge: 5 * time.Minute}
		return func(t *testing.T) broker.Broker {
			b, err := redis.New(o)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
	}, brokertest.HistoryOnly())
}

// miniredis:// takes the parameters of history only: every other part of the URL is refused as a bad URL.
func TestURL(t *testing.T) {
	for _, url := range []string{
		"miniredis://host", "miniredis://:6379", "miniredis:///0", "miniredis://user:secret@",
		"miniredis://?prefix=a", "miniredis:embedded", "miniredis://#a",
		"miniredis://?history=x", "miniredis://?history-size=0",
	} {
		b, err := broker.Open(t.Context(), url)
		if !errors.Is(err, broker.ErrURL) {
			t.Errorf("%s: error %v, want one that wraps ErrURL", url, err)
		}
		if b != nil {
			b.Close()
		}
	}
}

// What Open returns works without further ado, and has the capabilities of the redis
// driver's Broker.
func TestOpen(t *testing.T) {
	b, err := broker.Open(t.Context(), "miniredis://")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, ok := b.(interface {
		broker.BatchPublisher
		broker.Historian
		broker.Diagnoser
	}); !ok {
		t.Error("the Broker lacks a capability of the redis driver's")
	}
	f, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := f.Subscribe(ctx, "chat"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("hello")}); err != nil {
		t.Fatal(err)
	}
	if m, err := f.Next(); err != nil || string(m.Data) != "hello" {
		t.Errorf("Next returned %q, %v", m.Data, err)
	}
}

// What Open returns keeps history where the URL says so.
func TestOpenWithHistory(t *testing.T) {
	b, err := broker.Open(t.Context(), "miniredis://?history-size=5")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	h, ok := broker.HistoryOf(b)
	if !ok || h.Retention() != (broker.Retention{MaxMessages: 5, MaxAge: broker.DefaultHistory}) {
		t.Fatalf("the Historian is %v", h)
	}
	r, err := b.Publish(t.Context(), broker.Message{Channel: "chat", Data: []byte("hello")})
	if err != nil {
		t.Fatal(err)
	}
	page, err := h.History(t.Context(), "chat", broker.Query{Limit: 1})
	if err != nil || len(page.Messages) != 1 || page.Messages[0].Position != r.Position {
		t.Errorf("History returned %+v, %v", page, err)
	}
}

// The embedded server is reached from this machine alone, and by nobody who does
// not have its password.
func TestPrivate(t *testing.T) {
	o := start(t).Options()
	host, _, err := net.SplitHostPort(o.Addr)
	if err != nil || !net.ParseIP(host).IsLoopback() {
		t.Errorf("it listens on %q, which is not a loopback address", host)
	}
	for _, password := range []string{"", "guess"} {
		guess := o
		guess.Password = password
		b, err := redis.New(guess)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Publish(t.Context(), broker.Message{Channel: "chat"})
		if !errors.Is(err, broker.ErrDenied) {
			t.Errorf("with password %q: error %v, want one that matches ErrDenied", password, err)
		}
		b.Close()
	}
}

// Close ends the node and the server: nobody can connect any more.
func TestClose(t *testing.T) {
	s := start(t)
	b, err := s.Node()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "chat"}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("error %v, want one that matches ErrUnavailable", err)
	}
}
