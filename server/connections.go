package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/server/limit"
	"github.com/pregon/pregon/transport"
)

// connections bounds what Serve accepts, so that descriptors are left for the
// broker and for those that come next. Where there is no room, the connection that has
// waited longest for a request is closed in favour of a new one; where none waits,
// the new one is answered once, with 503, and closed. Such answers take room, too,
// until their clients have gone: beyond some of them a connection is only closed.
//
// An address that has as many as it may is answered likewise, with 429. Connections on which a
// key was used are the last to be closed, and a key is served on one for which there is no
// room. That is no guarantee: a crowd may hold the few that are accepted beyond the room, each
// for as long as a header may take.
//
// It knows of the connections that net/http has. Those of listeners, which were
// taken over from it, are counted by the hub, and by the node. Over HTTP/2 each request under
// way is counted as a connection: see streams.go.
type connections struct {
	most        int
	listeners   func() int
	trusted     []limit.Prefix                 // whose own connections are of many
	listenersOf func(network limit.Prefix) int // of one network
	log         *slog.Logger

	mu      sync.Mutex
	all     map[net.Conn]*accepted
	waiting *list.List   // of *accepted, between requests, the longest first
	streams int          // requests under way over HTTP/2 that are not counted by their connection or as listeners
	told    time.Time    // when it was logged last that there is no room
	each    int          // the most of one network, 0 for any number
	of      limit.Counts // those of each network
	crowded uint64       // connections that were refused for want of room, or of their network's
}

// reserve is how many descriptors are kept for requests, the broker and files, half
// of them for requests.
const reserve = 64

// maxSurplus is how many connections may be open for which there is no room.
const maxSurplus = reserve / 4

// tellAgain is how long nothing more is logged of connections without room.
const tellAgain = time.Minute

func newConnections(most int, listeners func() int, log *slog.Logger) *connections {
	return &connections{most: most, listeners: listeners, log: log, all: map[net.Conn]*accepted{}, waiting: list.New()}
}

// An accepted is one connection of net/http's.
type accepted struct {
	conn    net.Conn
	network limit.Prefix                      // under which it is counted; zero where it is not
	place   *list.Element                     // in waiting, nil while it is served
	streams streams                           // over HTTP/2
	keyed   atomic.Bool                       // a key was used on it
	refusal atomic.Pointer[transport.Problem] // what to answer where there is no room for it
}

type acceptedKey struct{}

// context is for http.Server.ConnContext, which is called for every connection
// before changed.
func (c *connections) context(ctx context.Context, conn net.Conn) context.Context {
	a := &accepted{conn: conn}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[conn] = a
	return context.WithValue(ctx, acceptedKey{}, a)
}

// changed is for http.Server.ConnState.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.all[conn]
	if a == nil {
		return // it was closed for want of room
	}
	if a.place != nil {
		c.waiting.Remove(a.place)
		a.place = nil
	}
	switch state {
	case http.StateNew:
		c.count(a)
		if c.all[conn] != nil && c.load() > c.most {
			c.makeRoom(a)
		}
		if c.all[conn] != nil {
			a.place = c.waiting.PushBack(a)
		}
	case http.StateIdle:
		a.place = c.waiting.PushBack(a)
	case http.StateHijacked, http.StateClosed:
		c.forget(a)
	}
}

// limitAddresses bounds how many connections come from one network, 0 for any number.
func (c *connections) limitAddresses(most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.each = most
}

// spare is how many connections of a network that has enough may be open to be told so.
const spare = 4

// count counts a among those of its network, and refuses it where these are enough. The caller
// holds the lock.
func (c *connections) count(a *accepted) {
	peer, _ := netip.ParseAddrPort(a.conn.RemoteAddr().String()) // zero for a Unix socket
	network := limit.Network(peer.Addr())
	if c.each == 0 || !network.IsValid() || limit.Contains(c.trusted, peer.Addr()) {
		return
	}
	a.network = network
	c.of.Acquire(network, 0)
	switch there := c.of.Of(network) + c.listenersOf(network); {
	case there > c.each+spare:
		c.crowded++
		c.abandon(a)
	case there > c.each:
		c.crowded++
		a.refusal.Store(crowded())
	}
}

// forget takes a out. The caller holds the lock.
func (c *connections) forget(a *accepted) {
	delete(c.all, a.conn)
	for range a.streams.counted() {
		c.of.Release(a.network)
	}
	c.streams -= a.streams.beside()
}

// load returns how many there are: connections, listeners and, over HTTP/2, requests under way.
// The caller holds the lock.
func (c *connections) load() int { return len(c.all) + c.streams + c.listeners() }

// refused returns how many connections were.
func (c *connections) refused() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.crowded
}

// makeRoom closes the connection that has waited longest, or else marks a as one
// too many. The caller holds the lock.
func (c *connections) makeRoom(a *accepted) {
	if now := time.Now(); now.Sub(c.told) > tellAgain {
		c.told = now
		c.log.Warn("server: there is no room for more connections; those that wait for a request are closed, and others refused",
			"connections", len(c.all), "listeners", c.listeners(), "limit", c.most)
	}
	c.crowded++
	if idle := c.idle(); idle != nil {
		c.abandon(idle)
		return
	}
	a.refusal.Store(tooManyConnections())
	if c.load() > c.most+maxSurplus {
		c.abandon(a)
	}
}

// maxKeyed is how many connections are kept because a key was used on them.
const maxKeyed = reserve / 4

// idle returns the connection that has waited longest, nil where none waits. One on which a key
// was used is passed over, if it is among few. The caller holds the lock.
func (c *connections) idle() *accepted {
	keyed := 0
	for e := c.waiting.Front(); e != nil; e = e.Next() {
		if a := e.Value.(*accepted); !a.keyed.Load() || keyed == maxKeyed {
			return a
		}
		keyed++
	}
	return nil
}

// abandon closes a connection without a word, which could have to wait. The caller
// holds the lock.
func (c *connections) abandon(a *accepted) {
	if a.place != nil {
		c.waiting.Remove(a.place)
	}
	c.forget(a)
	conn := a.conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.Close() // nothing was to be said to it
}

// closeSurplus ends connections for which there is no room with the answer to their
// first request.
func closeSurplus(w http.ResponseWriter, r *http.Request) {
	if a := acceptedOf(r); a != nil && a.refusal.Load() != nil {
		w.Header().Set("Connection", "close")
	}
}

// acceptedOf returns the connection of r, nil where it is none of Serve's.
func acceptedOf(r *http.Request) *accepted {
	a, _ := r.Context().Value(acceptedKey{}).(*accepted)
	return a
}

// noRoom returns what to answer where there is no room for r, or for the connection by which it
// came.
func noRoom(r *http.Request) *transport.Problem {
	if p := exchangeOf(r).refusal; p != nil {
		return p
	}
	if a := acceptedOf(r); a != nil {
		return a.refusal.Load()
	}
	return nil
}

// noteKey notes that a key was used on the connection of r.
func noteKey(r *http.Request) {
	if a := acceptedOf(r); a != nil {
		a.keyed.Store(true)
	}
}

// whereRoom returns next for requests for which there is room, and for keys.
func whereRoom(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if p := noRoom(r); p != nil && exchangeOf(r).caller.Identity().Kind != transport.Backend {
			stopReading(w)
			return p
		}
		return next(w, r)
	}
}

// stopReading keeps net/http from waiting for the rest of a body that nobody wants
// before it closes the connection.
func stopReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a writer without has no connection to close
}
