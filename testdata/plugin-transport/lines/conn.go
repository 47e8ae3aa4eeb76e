package lines

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// A conn is as much of a connection as a socket.Socket needs, on a ResponseWriter. Nothing
// is written once Close has returned.
type conn struct {
	net.Conn // nil: nothing else of it is used
	w        http.ResponseWriter
	control  *http.ResponseController
	client   context.Context // ends when the client has gone

	ended chan struct{} // closed when the server ends the connection
	end   func()

	mu     sync.Mutex // held while something is written
	closed bool
}

func newConn(w http.ResponseWriter, r *http.Request) *conn {
	c := &conn{w: w, control: http.NewResponseController(w), client: r.Context(), ended: make(chan struct{})}
	c.end = sync.OnceFunc(func() { close(c.ended) })
	return c
}

// Read waits for the end of the connection.
func (c *conn) Read([]byte) (int, error) {
	select {
	case <-c.client.Done():
	case <-c.ended:
	}
	return 0, net.ErrClosed
}

// Write sends p at once.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	n, err := c.w.Write(p)
	if err == nil {
		err = c.control.Flush()
	}
	return n, err
}

// CloseWrite has Read return: all has been written.
func (c *conn) CloseWrite() error {
	c.end()
	return nil
}

// Close ends a Write that waits for a client that does not read.
func (c *conn) Close() error {
	c.end()
	_ = c.control.SetWriteDeadline(time.Now()) // without one, the Write ends when the client goes
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	return nil
}

// SetReadDeadline does nothing: nothing is read.
func (c *conn) SetReadDeadline(time.Time) error { return nil }

// flushes reports whether what is written to w can be sent at once, which the innermost
// ResponseWriter decides.
func flushes(w http.ResponseWriter) bool {
	if inner, wraps := w.(interface{ Unwrap() http.ResponseWriter }); wraps {
		return flushes(inner.Unwrap())
	}
	_, ok := w.(http.Flusher)
	return ok
}
