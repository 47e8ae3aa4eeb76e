package live_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	_ "github.com/pregon/pregon/transport/live"
	"github.com/pregon/pregon/transport/live/livetest"
	_ "github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A site is a running server.
type site struct {
	t    testing.TB
	addr string
	open bool // everybody may do everything
	*server.Server
	stop func() // drains, and waits for the end
}

// history is what servers with a history keep.
var history = broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}

// start runs a server on o.Broker, or a memory broker with a history, and closes it.
func start(t testing.TB, o server.Options) *site {
	t.Helper()
	if o.Broker == nil {
		o.Broker = memory.NewBusWithHistory(history).Broker()
	}
	t.Cleanup(func() { _ = o.Broker.Close() })
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.DrainTime == 0 {
		o.DrainTime = 10 * time.Millisecond
	}
	s, err := server.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	stopped := false
	n := &site{t: t, addr: l.Addr().String(), Server: s, open: o.Access == nil}
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-served; err != nil {
			t.Error("Serve:", err)
		}
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
	t.Cleanup(n.stop)
	return n
}

// dial connects a client and reads its welcome.
func (n *site) dial(query string) *livetest.Client {
	n.t.Helper()
	c := livetest.Dial(n.t, "ws://"+n.addr+"/live"+query, "")
	if got := c.Next(); !strings.HasPrefix(got, `{"type":"welcome",`) {
		n.t.Fatal("the first frame is", got)
	}
	return c
}

// publish publishes text over HTTP.
func (n *site) publish(channel, text string) {
	n.t.Helper()
	resp, err := http.Post("http://"+n.addr+"/publish/"+channel, "text/plain", strings.NewReader(text))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		n.t.Fatal(resp.Status, string(body), err)
	}
}
