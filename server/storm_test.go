package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// A cutter makes connections that it can cut all at once.
type cutter struct {
	dialer dialFunc
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
}

// A cuttable is forgotten when it is closed, by whichever side.
type cuttable struct {
	net.Conn
	of *cutter
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := c.dialer(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conns[conn] = struct{}{}
	return &cuttable{conn, c}, nil
}

func (c *cuttable) Close() error {
	c.of.mu.Lock()
	delete(c.of.conns, c.Conn)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// cut resets all connections, as where a network goes.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for conn := range c.conns {
		if secured, ok := conn.(*tls.Conn); ok {
			conn = secured.NetConn()
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	}
}

// A bystander publishes to itself and measures how long that takes.
type bystander struct {
	mu   sync.Mutex
	took []time.Duration
}

// listen sends a message every 20 ms until ctx ends.
func (b *bystander) listen(ctx context.Context, t *testing.T, n *node) {
	dialer := websocket.Dialer{NetDialContext: n.pool.DialContext}
	conn, _, err := dialer.DialContext(ctx, "ws://"+n.addr+"/ws/bystander", nil)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	for ; ctx.Err() == nil; pause(ctx, 20*time.Millisecond) {
		began := time.Now()
		if resp, err := n.client.Post("http://"+n.addr+"/publish/bystander?message=x", "", nil); err == nil {
			_ = resp.Body.Close()
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, _, err := conn.ReadMessage(); err != nil {
			t.Errorf("a client that was not cut off: %v", err)
			return
		}
		b.mu.Lock()
		b.took = append(b.took, time.Since(began))
		b.mu.Unlock()
	}
}

// percentile returns the time in which so much of a hundred was done.
func (b *bystander) percentile(p int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.took) == 0 {
		return 0
	}
	slices.Sort(b.took)
	return b.took[len(b.took)*p/100]
}

// All clients of every protocol are cut off at once, again and again: each comes back, is not
// refused for good, and hears all and nothing twice; those that were not cut off go on meanwhile.
//
// The long form is -chaos.clients 5000 -chaos.faults 20.
func TestChaosStorm(t *testing.T) {
	t.Parallel()
	storm(t, new(net.Dialer).DialContext, func(l net.Listener) net.Listener { return l })
}

// So it is over TLS, where each has to shake hands again. The long form is -chaos.clients 3000 -chaos.faults 20.
func TestChaosStormOverTLS(t *testing.T) {
	t.Parallel()
	config := &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}), nil
	}
	storm(t, dial, func(l net.Listener) net.Listener { return server.Secure(l, config) })
}

// selfSigned returns a certificate of ECDSA that nobody has certified.
func selfSigned(t *testing.T) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"localhost"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// storm has clients that dial so cut off from a server that listens so.
func storm(t *testing.T, dial dialFunc, secure func(net.Listener) net.Listener) {
	redis := redistest.Start(t)
	var log lines
	o := onHistory(t, redis.URL())
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	l, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := startOn(t, secure(l), o)
	n.pool.DialContext = dial
	c := newChaos(t, n.addr)
	c.load.pace(longForm(*chaosRate, 200))
	clients := cutter{dialer: dial, conns: map[net.Conn]struct{}{}}
	c.dial = clients.dial
	for i := range longForm(*chaosClients, 300) {
		switch i % 3 {
		case 0:
			c.add("ws", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "json", forever) })
		case 1:
			c.add("sse", func(ctx context.Context, v *visitor) { v.listenSSE(ctx, forever) })
		default:
			c.add("live", func(ctx context.Context, v *visitor) { v.listenWS(ctx, overLive, forever) })
		}
	}
	c.publish(true)
	var other bystander
	watching, leave := context.WithCancel(t.Context())
	var watch sync.WaitGroup
	watch.Go(func() { other.listen(watching, t, n) })
	var took []string
	for range faults(3) {
		aMoment()
		began := time.Now()
		clients.cut()
		c.goesOn()
		c.heard() // what was accepted since, so all have come back
		took = append(took, fmt.Sprint(time.Since(began).Round(10*time.Millisecond)))
	}
	leave()
	watch.Wait()
	c.finish(true, false)
	if failed := log.containing("level=ERROR"); failed != "" {
		t.Errorf("clients that go are no errors: %.1000s", failed)
	}
	t.Logf("back, and up to date, after %v; publishing and hearing takes a client that is not cut off %v (p50) and %v (p99)",
		took, other.percentile(50), other.percentile(99))
}
