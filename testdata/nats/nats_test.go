package nats_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	natstest "github.com/pregon/pregon/testdata/nats"
)

// open opens a node.
func open(t *testing.T, addr string) broker.Broker {
	t.Helper()
	b, err := nats.New(nats.Options{Servers: []string{addr}, Heartbeat: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// listen opens a Feed of channels.
func listen(t *testing.T, b broker.Broker, channels ...string) broker.Feed {
	t.Helper()
	f, err := b.Feed(t.Context())
	if err == nil {
		err = f.Subscribe(t.Context(), channels...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What any program publishes on the subject of a channel's name is heard there, as it is.
func TestOtherPrograms(t *testing.T) {
	server := natstest.Start(t)
	f := listen(t, open(t, server.Addr()), "room.1", "a b")
	other, err := natsgo.Connect("nats://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	for _, m := range []broker.Message{{Channel: "room.1", Data: []byte("hola")}, {Channel: "a b", Data: []byte("\xFF")}} {
		if err := other.Publish(strings.ReplaceAll(m.Channel, " ", "%20"), m.Data); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Next(); err != nil || got.Channel != m.Channel || string(got.Data) != string(m.Data) || got.Binary != (m.Data[0] == 0xFF) {
			t.Errorf("heard %+v, %v; want %+v", got, err, m)
		}
	}
}

// A message that the server does not take is too large, and others of its batch are published.
func TestTooLarge(t *testing.T) {
	server := natstest.Start(t)
	b := open(t, server.Addr())
	results := broker.PublishAll(t.Context(), b, []broker.Message{
		{Channel: "a", Data: []byte("x")}, {Channel: "a", Data: make([]byte, 3<<20)}, {Channel: "a", Data: []byte("y")},
	})
	if results[0].Err != nil || !errors.Is(results[1].Err, broker.ErrTooLarge) || results[2].Err != nil {
		t.Errorf("%v", results)
	}
}

// A cluster is refused: it could lose messages without a word. The error names both ways out.
func TestClusterIsRefused(t *testing.T) {
	server := natstest.Start(t, `cluster { name: c, listen: "127.0.0.1:-1" }`)
	b := open(t, server.Addr())
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "a"}); !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), "cluster") ||
		!strings.Contains(err.Error(), "?history=") || !strings.Contains(err.Error(), "?lossy=1") {
		t.Error(err)
	}
	f, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Subscribe(t.Context(), "a"); !errors.Is(err, broker.ErrDenied) {
		t.Error(err)
	}
}

// A link that goes silent, without being closed, is noticed, and told.
func TestSilence(t *testing.T) {
	server := natstest.Start(t)
	proxy := redistest.StartProxy(t, server.Addr())
	f := listen(t, open(t, proxy.Addr()), "a")
	proxy.Silence()
	proxy.Restore() // for new connections
	var gap *broker.GapError
	if _, err := f.Next(); !errors.As(err, &gap) || gap.Reason != broker.LinkLost {
		t.Errorf("Next returned %v", err)
	}
}

// A wrong password is refused, and not taken for a server that is away.
func TestWrongPassword(t *testing.T) {
	server := natstest.Start(t, `authorization { user: pregon, password: secret }`)
	b, err := broker.Open(t.Context(), "nats://pregon:s3cret@"+server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "a"}); !errors.Is(err, broker.ErrDenied) || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

// Where the server takes no more subscriptions, which it says without a subject, Subscribe fails: no channel
// is taken for subscribed that is not.
func TestTooManySubscriptions(t *testing.T) {
	server := natstest.Start(t, "max_subscriptions: 2")
	f, err := open(t, server.Addr()).Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Subscribe(t.Context(), "a", "b", "c", "d"); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("Subscribe returned %v", err)
	}
}

// A server that accepts and says nothing holds up nobody that closes.
func TestMuteServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b, err := nats.New(nats.Options{Servers: []string{l.Addr().String()}, DialTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Feed(t.Context()); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = b.Close() // returns
}
