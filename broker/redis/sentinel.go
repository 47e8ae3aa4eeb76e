package redis

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// sentinels makes connections to the server that the Sentinels call the master,
// and ends those to a server that they call so no longer. Its methods may be
// called concurrently.
type sentinels struct {
	opts  Options
	addrs []string // each once, so that none votes twice

	turn   chan struct{} // has a token while somebody asks
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

func newSentinels(o Options) *sentinels {
	return &sentinels{
		opts:  o,
		addrs: slices.Compact(slices.Sorted(slices.Values(append([]string{o.Addr}, o.Sentinels...)))),
		turn:  make(chan struct{}, 1),
		conns: map[*wire.Conn]struct{}{},
	}
}

// connect makes a connection to the master, within DialTimeout. Whether the server
// says so itself is left to demandMaster.
func (s *sentinels) connect(ctx context.Context) (*wire.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout)
	defer cancel()
	addr, err := s.master(ctx)
	if err != nil {
		return nil, err
	}
	c, err := s.opts.dial(ctx, addr, s.opts.TLS)
	if err != nil {
		return nil, err
	}
	s.keep(c)
	return c, nil
}

// demandMaster is for a new connection of go-redis, before it is used for anything
// else: a Sentinel may be late to hear of a failover, and the server too.
func demandMaster(ctx context.Context, c *goredis.Conn) error {
	role, err := c.Do(ctx, "role").Slice()
	if err != nil {
		return err
	}
	if len(role) == 0 || role[0] != "master" {
		return reply.ErrNotMaster
	}
	return nil
}

// master returns the address of the master. Dials come in quick succession where
// the master is down, which is when the Sentinels have other work: they are asked
// again after minPause only.
func (s *sentinels) master(ctx context.Context) (string, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	if v := s.newest.Load(); v != nil && time.Since(v.at) < minPause {
		return v.addr, v.err
	}
	addr, err := s.vote(ctx)
	if ctx.Err() == nil { // otherwise it is about this caller only
		s.newest.Store(&verdict{addr, err, time.Now()})
	}
	return addr, err
}

// vote returns what more than half of the Sentinels say, and where so many do not
// answer, more than half of those that do. A Sentinel that is cut off from the
// others keeps naming the old master, so the first answer is not good enough.
func (s *sentinels) vote(ctx context.Context) (string, error) {
	var failure error
	votes, voters := map[string]int{}, 0
	for addr, err := range s.answers(ctx) {
		if err != nil {
			if failure == nil || errors.Is(failure, broker.ErrDenied) { // which waiting mends if another is only away
				failure = err
			}
			continue
		}
		voters++
		if votes[addr]++; votes[addr] > len(s.addrs)/2 {
			return addr, nil
		}
	}
	for addr, n := range votes {
		if n > voters/2 {
			return addr, nil
		}
	}
	if voters > 0 {
		return "", reply.ErrDisagree
	}
	return "", failure
}

// answers asks all Sentinels at once and yields each one's answer as it comes.
// It takes half of DialTimeout at most: that is the end for those that are silent,
// and there is time left to connect.
func (s *sentinels) answers(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(addr string, err error) bool) {
		ctx, cancel := context.WithTimeout(ctx, s.opts.DialTimeout/2)
		type answer struct {
			addr string
			err  error
		}
		said := make(chan answer, len(s.addrs))
		var asking sync.WaitGroup
		defer asking.Wait()
		defer cancel()
		for _, sentinel := range s.addrs {
			asking.Go(func() {
				addr, err := s.ask(ctx, sentinel)
				said <- answer{addr, err}
			})
		}
		for range s.addrs {
			if a := <-said; !yield(a.addr, a.err) {
				return
			}
		}
	}
}

// ask asks one Sentinel, on a connection of its own, until ctx ends.
func (s *sentinels) ask(ctx context.Context, sentinel string) (addr string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("ask Sentinel %s: %w", sentinel, reply.Outcome(err, false))
		}
	}()
	defer reply.Contain(&err)
	c, err := s.opts.dial(ctx, sentinel, s.opts.SentinelTLS)
	if err != nil {
		return "", err
	}
	defer c.Close()
	unhook := context.AfterFunc(ctx, func() { c.Close() })
	defer unhook()
	settings := s.opts.client(wire.HandOver(c))
	settings.Addr, settings.DB, settings.OnConnect = sentinel, 0, nil
	settings.Username, settings.Password = s.opts.SentinelUsername, s.opts.SentinelPassword
	settings.PoolSize = 1
	client := goredis.NewSentinelClient(settings)
	defer client.Close()
	words, err := client.GetMasterAddrByName(ctx, s.opts.Master).Result()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case errors.Is(err, goredis.Nil):
		return "", reply.ErrNoMaster
	case err != nil:
		return "", err
	case len(words) != 2 || !isHost(words[0]) || !isPort(words[1]):
		return "", reply.ErrBadReply
	}
	return net.JoinHostPort(words[0], words[1]), nil
}

// watch asks every Heartbeat, until ctx ends, and ends the connections to a server
// that is not the master any more. Such a server may go on accepting what is
// published, and only those who are still connected to it hear that. Where the
// Sentinels name no master everything stays as it is.
func (s *sentinels) watch(ctx context.Context) {
	for sleep(ctx, s.opts.Heartbeat) {
		if addr, err := s.master(ctx); err == nil {
			s.retire(reply.ErrMoved, func(c *wire.Conn) bool { return c.Addr != addr })
		}
	}
}

// demoted ends all connections, because the server has said on one of them that
// it is a replica, and has the Sentinels asked anew.
func (s *sentinels) demoted() {
	s.newest.Store(nil)
	s.retire(reply.ErrNotMaster, func(*wire.Conn) bool { return true })
}

// retire ends the connections of which is is true, because of why.
func (s *sentinels) retire(why error, is func(*wire.Conn) bool) {
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
func (s *sentinels) keep(c *wire.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
	c.Forget = func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	}
}
