package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// connections bounds what Serve accepts, so that descriptors are left for the
// broker and for those that come next. Where there is no room, the connection that has
// waited longest for a request is closed in favour of a new one; where none waits,
// the new one is answered once, with 503, and closed. Such answers take room, too,
// until their clients have gone: beyond some of them a connection is only closed.
//
// It knows of the connections that net/http has. Those of listeners, which were
// taken over from it, are counted by the hub.
type connections struct {
	most      int
	listeners func() int
	log       *slog.Logger

	mu      sync.Mutex
	all     map[net.Conn]*accepted
	waiting *list.List // of *accepted, between requests, the longest first
	told    time.Time  // when it was logged last that there is no room
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
	place   *list.Element // in waiting, nil while it is served
	surplus atomic.Bool   // there is no room for it
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
		if len(c.all)+c.listeners() > c.most {
			c.makeRoom(a)
		}
		if c.all[conn] != nil {
			a.place = c.waiting.PushBack(a)
		}
	case http.StateIdle:
		a.place = c.waiting.PushBack(a)
	case http.StateHijacked, http.StateClosed:
		delete(c.all, conn)
	}
}

// makeRoom closes the connection that has waited longest, or else marks a as one
// too many. The caller holds the lock.
func (c *connections) makeRoom(a *accepted) {
	if now := time.Now(); now.Sub(c.told) > tellAgain {
		c.told = now
		c.log.Warn("server: there is no room for more connections; those that wait for a request are closed, and others refused",
			"connections", len(c.all), "listeners", c.listeners(), "limit", c.most)
	}
	if front := c.waiting.Front(); front != nil {
		c.abandon(front.Value.(*accepted))
		return
	}
	a.surplus.Store(true)
	if len(c.all)+c.listeners() > c.most+maxSurplus {
		c.abandon(a)
	}
}

// abandon closes a connection without a word, which could have to wait. The caller
// holds the lock.
func (c *connections) abandon(a *accepted) {
	if a.place != nil {
		c.waiting.Remove(a.place)
	}
	delete(c.all, a.conn)
	conn := a.conn
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	_ = conn.Close() // nothing was to be said to it
}

// closeSurplus ends connections for which there is no room with the answer to their
// first request.
func closeSurplus(w http.ResponseWriter, r *http.Request) {
	if surplus(r) {
		w.Header().Set("Connection", "close")
		stopReading(w)
	}
}

// surplus reports whether r came by a connection for which there is no room.
func surplus(r *http.Request) bool {
	a, ok := r.Context().Value(acceptedKey{}).(*accepted)
	return ok && a.surplus.Load()
}

// whereRoom returns next for connections for which there is room.
func whereRoom(next handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if surplus(r) {
			return tooManyConnections()
		}
		return next(w, r)
	}
}

// stopReading keeps net/http from waiting for the rest of a body that nobody wants
// before it closes the connection.
func stopReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now()) // a writer without has no connection to close
}
