package redis

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"
)

// A dialFunc is what go-redis wants for making connections.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dial connects to addr, and with secure shakes hands, within DialTimeout.
func (o Options) dial(ctx context.Context, addr string, secure *tls.Config) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
	defer cancel()
	var plain net.Dialer
	dial := plain.DialContext
	if secure != nil {
		dial = (&tls.Dialer{NetDialer: &plain, Config: secure}).DialContext
	}
	c, err := dial(ctx, o.Network, addr)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, addr: addr, opened: time.Now()}, nil
}

// A conn is a connection that knows when it last heard something and hands on
// only what go-redis can read safely.
type conn struct {
	net.Conn
	addr   string // that was dialled
	opened time.Time
	heard  atomic.Int64 // nanoseconds from opened to the newest byte
	frames frames

	failure atomic.Pointer[error] // why we closed it ourselves
	forget  func()                // called by Close; may be nil
}

// Read implements net.Conn. One goroutine at a time calls it.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, c.reason(err)
	}
	c.heard.Store(int64(time.Since(c.opened)))
	if err := c.frames.check(p[:n]); err != nil {
		return 0, err
	}
	return n, err
}

// silence returns for how long nothing was heard.
func (c *conn) silence() time.Duration {
	return time.Since(c.opened) - time.Duration(c.heard.Load())
}

// fail closes c because of err.
func (c *conn) fail(err error) {
	c.failure.CompareAndSwap(nil, &err)
	c.Close()
}

// reason returns why c was closed, where we did it, and err otherwise.
func (c *conn) reason(err error) error {
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	return err
}

// Close closes the socket itself: a TLS connection would first try to say
// goodbye, for up to five seconds on a peer that does not read.
func (c *conn) Close() error {
	if c.forget != nil {
		c.forget()
	}
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn().Close()
	}
	return c.Conn.Close()
}

// A socketConn is a conn without TLS in a pool. go-redis looks at the socket
// before it uses an idle one again, and so finds out that Redis has closed it
// before a publication is written to it.
type socketConn struct {
	*conn
	syscall.Conn
}

// pooled returns c as the pool should see it.
func (c *conn) pooled() net.Conn {
	if socket, ok := c.Conn.(syscall.Conn); ok {
		return socketConn{c, socket}
	}
	return c
}

// An unreachable stands in for a connection that could not be made: everything
// fails with the reason. go-redis' pool, if it is told of enough failed dials,
// stops dialling and probes only once a second, so publishing would be late to
// resume. Not told, it dials for every publication.
type unreachable struct{ err error }

func (u unreachable) Read([]byte) (int, error)              { return 0, u.err }
func (u unreachable) Write([]byte) (int, error)             { return 0, u.err }
func (u unreachable) SyscallConn() (syscall.RawConn, error) { return nil, u.err } // never reused
func (u unreachable) Close() error                          { return nil }
func (u unreachable) LocalAddr() net.Addr                   { return &net.TCPAddr{} }
func (u unreachable) RemoteAddr() net.Addr                  { return &net.TCPAddr{} }
func (u unreachable) SetDeadline(time.Time) error           { return nil }
func (u unreachable) SetReadDeadline(time.Time) error       { return nil }
func (u unreachable) SetWriteDeadline(time.Time) error      { return nil }
