package redirect

import (
	"container/list"
	"net"
	"net/http"
	"sync"
)

// maxConnections is how many there are at once, each of which has one request.
const maxConnections = 64

// A crowd bounds the connections. Where there are as many as may be, the oldest is closed in favour of the next: one that
// means well has long had its answer, and clients that say nothing keep nobody out, nor the authority that asks.
type crowd struct {
	mu     sync.Mutex
	open   *list.List // of net.Conn, the oldest first
	places map[net.Conn]*list.Element
}

func newCrowd() *crowd { return &crowd{open: list.New(), places: map[net.Conn]*list.Element{}} }

// changed is for http.Server.ConnState.
func (c *crowd) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew:
		if c.open.Len() == maxConnections {
			oldest := c.open.Front().Value.(net.Conn)
			c.forget(oldest)
			_ = oldest.Close() // there is nothing to say to it
		}
		c.places[conn] = c.open.PushBack(conn)
	case http.StateClosed:
		c.forget(conn)
	}
}

// forget takes conn out, if it is there. The caller holds the lock.
func (c *crowd) forget(conn net.Conn) {
	if place := c.places[conn]; place != nil {
		c.open.Remove(place)
		delete(c.places, conn)
	}
}
