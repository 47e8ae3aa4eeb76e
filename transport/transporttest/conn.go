package transporttest

import (
	"net"
	"sync"
	"sync/atomic"
)

// sendBuffer is how much the system keeps of what is sent to a client that does not read,
// in bytes, before the Socket has to.
const sendBuffer = 32 << 10

// A listener makes conns of what it accepts.
type listener struct {
	net.Listener
	open sync.WaitGroup // counts the conns
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp := c.(*net.TCPConn)
	_ = tcp.SetWriteBuffer(sendBuffer) // one that has gone already is found by its reader
	l.open.Add(1)
	return &conn{TCPConn: tcp, gone: sync.OnceFunc(l.open.Done)}, nil
}

// A conn is the server's end of a connection, which knows what has become of it.
type conn struct {
	*net.TCPConn
	hijacked atomic.Bool
	closed   atomic.Bool
	gone     func()
}

// Close implements net.Conn.
func (c *conn) Close() error {
	c.closed.Store(true)
	defer c.gone()
	return c.TCPConn.Close()
}
