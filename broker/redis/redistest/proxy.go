package redistest

import (
	"net"
	"sync"
	"testing"
)

// A Proxy forwards TCP connections and can break them. It is stopped when the
// test ends. Methods may be called concurrently.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	ended  bool
	silent bool
	mute   bool
	pairs  map[*pair]struct{}
}

// A pair is one client's connection and the one to the target that belongs to it.
type pair struct {
	client, target net.Conn
	silent         bool // guarded by Proxy.mu; for good
	mute           bool // the client only; likewise
}

// StartProxy starts a Proxy to target, a "host:port", on a free loopback port.
func StartProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("redistest: proxy: %v", err)
	}
	p := &Proxy{target: target, listener: l, pairs: map[*pair]struct{}{}}
	p.running.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

// Addr returns the "host:port" that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL returns Addr as a redis:// URL.
func (p *Proxy) URL() string { return "redis://" + p.Addr() }

// Silence makes all connections, those that are open and those that come, go
// silent without being closed: what is sent is swallowed. That is a half-open
// connection, as after the other machine lost its power.
func (p *Proxy) Silence() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent = true
	for c := range p.pairs {
		c.silent = true
	}
}

// Mute is Silence in one direction: what clients send is swallowed, and what the target sends they
// still hear.
func (p *Proxy) Mute() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
	for c := range p.pairs {
		c.mute = true
	}
}

// Restore ends Silence and Mute for new connections. Those that went silent stay so.
func (p *Proxy) Restore() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.silent, p.mute = false, false
}

// Cut closes all connections. New ones are forwarded as before.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.pairs {
		c.close()
	}
}

func (p *Proxy) stop() {
	p.listener.Close()
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.Cut()
	p.running.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		target, err := net.Dial("tcp", p.target)
		if err != nil {
			client.Close()
			continue
		}
		p.forward(&pair{client: client, target: target})
	}
}

func (p *Proxy) forward(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		c.close()
		return
	}
	c.silent, c.mute = p.silent, p.mute
	p.pairs[c] = struct{}{}
	var directions sync.WaitGroup
	directions.Go(func() { p.pump(c, c.target, c.client) })
	directions.Go(func() { p.pump(c, c.client, c.target) })
	p.running.Go(func() {
		directions.Wait()
		c.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pairs, c)
	})
}

// pump copies from src to dst until one of them fails. The end of a connection is
// news too, so a silent pair keeps it to itself.
func (p *Proxy) pump(c *pair, dst, src net.Conn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		silent := c.silent || c.mute && src == c.client
		p.mu.Unlock()
		if silent {
			if err != nil {
				return
			}
			continue
		}
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				c.close()
				return
			}
		}
		if err != nil {
			c.close()
			return
		}
	}
}

func (c *pair) close() {
	c.client.Close()
	c.target.Close()
}
