// Package wire makes the connections to Redis and to Sentinels, and follows what comes over
// them.
//
// [Settings] make connections, and say how go-redis is to use them. A [Conn] knows when it
// last heard something, refuses what go-redis cannot read safely, and remembers why it was
// closed. The caller that dials it closes it, or hands it to go-redis, which then does. No
// connection is ever made again by itself.
package wire

import (
	"context"
	"crypto/tls"
	"net"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A DialFunc is what go-redis wants for making connections.
type DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dial connects to addr, and with secure shakes hands.
func dial(ctx context.Context, network, addr string, secure *tls.Config) (*Conn, error) {
	var plain net.Dialer
	connect := plain.DialContext
	if secure != nil {
		connect = (&tls.Dialer{NetDialer: &plain, Config: secure}).DialContext
	}
	c, err := connect(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return NewConn(c, addr), nil
}

// NewConn returns c, which is to addr, as a Conn that owns it.
func NewConn(c net.Conn, addr string) *Conn { return &Conn{Conn: c, Addr: addr, opened: time.Now()} }

// A Conn is a connection that knows when it last heard something and hands on
// only what go-redis can read safely.
type Conn struct {
	net.Conn
	Addr   string // that was dialled
	opened time.Time
	Heard  atomic.Int64 // nanoseconds from opened to the newest byte
	frames frames

	failure atomic.Pointer[error] // why we closed it ourselves
	Forget  func()                // called by Close; may be nil; set before c is shared
}

// Read implements net.Conn. One goroutine at a time calls it.
func (c *Conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, c.Reason(err)
	}
	c.Heard.Store(int64(time.Since(c.opened)))
	if err := c.frames.check(p[:n]); err != nil {
		return 0, err
	}
	return n, err
}

// Silence returns for how long nothing was heard.
func (c *Conn) Silence() time.Duration {
	return time.Since(c.opened) - time.Duration(c.Heard.Load())
}

// Fail closes c because of err.
func (c *Conn) Fail(err error) {
	c.failure.CompareAndSwap(nil, &err)
	c.Close()
}

// Reason returns why c was closed, where we did it, and err otherwise.
func (c *Conn) Reason(err error) error {
	if failure := c.failure.Load(); failure != nil {
		return *failure
	}
	return err
}

// Close closes the socket itself: a TLS connection would first try to say
// goodbye, for up to five seconds on a peer that does not read.
func (c *Conn) Close() error {
	if c.Forget != nil {
		c.Forget()
	}
	if secure, ok := c.Conn.(*tls.Conn); ok {
		return secure.NetConn().Close()
	}
	return c.Conn.Close()
}

// A socketConn is a Conn without TLS in a pool. go-redis looks at the socket
// before it uses an idle one again, and so finds out that Redis has closed it
// before a publication is written to it.
type socketConn struct {
	*Conn
	socket
}

// A socket has a name of its own because two fields named Conn cannot be embedded.
type socket = syscall.Conn

// Pooled returns c as the pool should see it.
func (c *Conn) Pooled() net.Conn {
	if raw, ok := c.Conn.(socket); ok {
		return socketConn{c, raw}
	}
	return c
}

// An Unreachable stands in for a connection that could not be made: everything
// fails with the reason. go-redis' pool, if it is told of enough failed dials,
// stops dialling and probes only once a second, so publishing would be late to
// resume. Not told, it dials for every publication.
type Unreachable struct{ Err error }

func (u Unreachable) Read([]byte) (int, error)              { return 0, u.Err }
func (u Unreachable) Write([]byte) (int, error)             { return 0, u.Err }
func (u Unreachable) SyscallConn() (syscall.RawConn, error) { return nil, u.Err } // never reused
func (u Unreachable) Close() error                          { return nil }
func (u Unreachable) LocalAddr() net.Addr                   { return &net.TCPAddr{} }
func (u Unreachable) RemoteAddr() net.Addr                  { return &net.TCPAddr{} }
func (u Unreachable) SetDeadline(time.Time) error           { return nil }
func (u Unreachable) SetReadDeadline(time.Time) error       { return nil }
func (u Unreachable) SetWriteDeadline(time.Time) error      { return nil }

// HandOver returns a function that gives c to go-redis once. A second connection would be
// a hidden reconnect.
func HandOver(c net.Conn) DialFunc {
	return func(context.Context, string, string) (net.Conn, error) {
		if c == nil {
			return nil, reply.ErrReconnect
		}
		given := c
		c = nil
		return given, nil
	}
}
