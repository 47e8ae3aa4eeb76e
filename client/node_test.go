package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
)

// A cluster is two nodes on one broker: one to publish to, and one that is killed.
type cluster struct {
	t      *testing.T
	bus    *memory.Bus
	stable string // address
	addr   string // of the one that is killed
	access *access.Policy
}

func newCluster(t *testing.T, policy *access.Policy) *cluster {
	t.Helper()
	c := &cluster{t: t, access: policy, bus: memory.NewBusWithHistory(broker.Retention{MaxMessages: 100_000, MaxAge: time.Hour})}
	s := c.server()
	web := httptest.NewServer(s.Handler())
	t.Cleanup(func() { web.CloseClientConnections(); _ = s.Close(); web.Close() })
	c.stable = web.URL
	return c
}

func (c *cluster) server() *server.Server {
	c.t.Helper()
	b := c.bus.Broker()
	s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler), Access: c.access, AllowOrigins: []string{"*"}})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = b.Close() })
	return s
}

// start starts the node that is killed. Kill cuts all its connections without a word, as the
// end of its process would.
func (c *cluster) start() (kill func()) {
	c.t.Helper()
	addr := c.addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		c.t.Fatal(err)
	}
	c.addr = l.Addr().String()
	cutting := &cuttingListener{Listener: l}
	s := c.server()
	web := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: patience}
	ended := make(chan error, 1)
	go func() { ended <- web.Serve(cutting) }()
	return func() {
		cutting.cut()
		_ = web.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			c.t.Error(err)
		}
		_ = s.Close()
	}
}

// publish publishes to the channel "news" over the node that stays.
func (c *cluster) publish(text string) {
	c.t.Helper()
	resp, err := http.Post(c.stable+"/publish/news", "text/plain", strings.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		c.t.Fatal(resp.Status)
	}
}

// A cuttingListener keeps its connections, to cut them.
type cuttingListener struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *cuttingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, conn)
	}
	return conn, err
}

func (l *cuttingListener) cut() {
	_ = l.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, conn := range l.conns {
		_ = conn.(*net.TCPConn).SetLinger(0) // what is on its way is lost
		_ = conn.Close()
	}
}
