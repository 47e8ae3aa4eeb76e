package topology

import (
	"context"
	"crypto/tls"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker/redis/internal/pause"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// SentinelOptions are the settings of [Sentinels].
type SentinelOptions struct {
	Name  string   // by which the Sentinels know the master
	Addrs []string // of the Sentinels

	Server    wire.Settings // of connections to the master
	ServerTLS *tls.Config   // nil for plain text

	Username string // of the Sentinels
	Password string
	TLS      *tls.Config // on connections to them; nil for plain text

	Interval time.Duration // between two questions of Watch
}

// Sentinels are a Master: the server that most of Redis' Sentinels name. They make
// connections to it, and end those to a server that they name no longer.
type Sentinels struct {
	opts  SentinelOptions
	addrs []string // each once, so that none votes twice

	turn   chan struct{} // has a token while the Sentinels are asked
	newest atomic.Pointer[verdict]

	mu    sync.Mutex
	conns map[*wire.Conn]struct{} // that are open
}

// A verdict is what the Sentinels say: the address of the master, or why there is
// none.
type verdict struct {
	addr string
	err  error
	at   time.Time
}

// NewSentinels returns the master that o.Name is. It asks nothing yet.
func NewSentinels(o SentinelOptions) *Sentinels {
	return &Sentinels{
		opts:  o,
		addrs: slices.Compact(slices.Sorted(slices.Values(o.Addrs))),
		turn:  make(chan struct{}, 1),
		conns: map[*wire.Conn]struct{}{},
	}
}

// Connect implements Master. Asking the Sentinels takes no more than half of DialTimeout.
func (s *Sentinels) Connect(ctx context.Context) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.Server.DialTimeout)
	defer cancel()
	addr, err := s.master(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.opts.Server.Dial(ctx, addr, s.opts.ServerTLS)
	if err != nil {
		return nil, err
	}
	s.keep(c)
	return c, nil
}

// master returns the address of the master. Dials come in quick succession where
// the master is down, which is when the Sentinels have other work: they are asked
// again after pause.Min only.
func (s *Sentinels) master(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if v := s.newest.Load(); v != nil && time.Since(v.at) < pause.Min {
		return v.addr, v.err
	}
	addr, err := s.vote(ctx)
	if ctx.Err() == nil { // otherwise it is about this caller only
		s.newest.Store(&verdict{addr, err, time.Now()})
	}
	return addr, err
}

// Watch implements Master. It asks every Interval. A server that is not the master any
// more may go on accepting what is published, and only nodes that are still connected
// to it hear that. Where the Sentinels name no master everything stays as it is.
func (s *Sentinels) Watch(ctx context.Context) {
	for pause.Sleep(ctx, s.opts.Interval) {
		if addr, err := s.master(ctx); err == nil {
			s.retire(reply.ErrMoved, func(c *wire.Conn) bool { return c.Addr != addr })
		}
	}
}

// Demoted implements Master. It ends all connections, and has the Sentinels asked anew.
func (s *Sentinels) Demoted() {
	s.newest.Store(nil)
	s.retire(reply.ErrNotMaster, func(*wire.Conn) bool { return true })
}

// retire ends the connections of which is is true, because of why.
func (s *Sentinels) retire(why error, is func(*wire.Conn) bool) {
	s.mu.Lock()
	conns := slices.Collect(maps.Keys(s.conns))
	s.mu.Unlock()
	for _, c := range conns {
		if is(c) {
			c.Fail(why)
		}
	}
}

// keep remembers c until it is closed.
func (s *Sentinels) keep(c *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	c.Forget = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}
}
