package server

import (
	"context"
	"net/http"
	"sync"

	"github.com/pregon/pregon/transport"
)

// Over HTTP/2 one connection carries many requests at a time, each of which costs as much as a
// connection of its own does otherwise. So each counts as one: of connections with n requests
// under way the most are as many as of n connections with one, in all and of one address, and
// HTTP/2 is no way round a limit. A connection without a request counts once.

// streams are the requests under way on one connection over HTTP/2. They change under the lock
// of connections.
type streams struct {
	requests  int // under way
	listening int // of these, those of clients that the hub and the node count
}

// counted returns how many the connection counts as, beside its listeners.
func (s streams) counted() int { return max(1, s.requests) - s.listening }

// beside is counted without the connection itself, and less than 0 where listeners stand for that.
func (s streams) beside() int { return s.counted() - 1 }

// change lets a's streams be changed, and counts what they are then.
func (c *connections) change(a *accepted, change func(*streams)) {
	before := a.streams
	change(&a.streams)
	if c.all[a.conn] != a {
		return // it is closed, and nothing of it counts any more
	}
	c.streams += a.streams.beside() - before.beside()
	for range a.streams.counted() - before.counted() {
		c.of.Acquire(a.network, 0)
	}
	for range before.counted() - a.streams.counted() {
		c.of.Release(a.network)
	}
}

// enter counts r until end is called, if it came over HTTP/2, and has it refused where there is no
// room for it.
func (c *connections) enter(r *http.Request) (end func()) {
	a := acceptedOf(r)
	if a == nil || r.ProtoMajor < 2 {
		return func() {}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	before := a.streams.counted()
	c.change(a, func(s *streams) { s.requests++ })
	if a.streams.counted() > before {
		exchangeOf(r).refusal = c.roomFor(a)
	}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.change(a, func(s *streams) { s.requests-- })
	}
}

// roomFor returns why one more request of a is too many, nil where it is not. The caller holds the
// lock.
func (c *connections) roomFor(a *accepted) *transport.Problem {
	switch {
	case c.each > 0 && a.network.IsValid() && c.of.Of(a.network)+c.listenersOf(a.network) > c.each:
		c.crowded++
		return crowded()
	case c.load() > c.most:
		c.crowded++
		return tooManyConnections()
	}
	return nil
}

// listening returns client for r, whose sessions are not counted twice: as requests under way over
// HTTP/2, and by the hub.
func (c *connections) listening(r *http.Request, client transport.Client) transport.Client {
	a := acceptedOf(r)
	if a == nil || r.ProtoMajor < 2 {
		return client
	}
	return streamClient{client, c, a}
}

// A streamClient is the client of one request over HTTP/2.
type streamClient struct {
	transport.Client
	connections *connections
	on          *accepted
}

// Join implements transport.Client.
func (c streamClient) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	session, err := c.Client.Join(ctx, s)
	if err != nil {
		return nil, err
	}
	c.listen(1)
	return streamSession{session, sync.OnceFunc(func() { c.listen(-1) })}, nil
}

// listen counts n more that listen on the connection.
func (c streamClient) listen(n int) {
	c.connections.mu.Lock()
	defer c.connections.mu.Unlock()
	c.connections.change(c.on, func(s *streams) { s.listening += n })
}

// A streamSession is the session of a streamClient.
type streamSession struct {
	transport.Session
	left func()
}

// Leave implements transport.Session.
func (s streamSession) Leave() {
	s.Session.Leave()
	s.left()
}
