package local

import (
	"context"
	"net"
	"sync"
	"time"
)

// A pipe is the connection of a Subscription's Socket, and as much of net.Conn as that
// needs. What is written waits for next, nowhere else: so the bounds of the Socket hold.
type pipe struct {
	net.Conn // nil: nothing else of it is used
	written  chan []byte
	ended    chan struct{}

	once   sync.Once
	reason error // set before ended is closed
}

func newPipe() *pipe { return &pipe{written: make(chan []byte), ended: make(chan struct{})} }

// next returns what is written next. It is read before another is.
func (p *pipe) next(ctx context.Context) ([]byte, error) {
	select {
	case b := <-p.written:
		return b, nil
	case <-p.ended:
		return nil, p.reason
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Write implements net.Conn. It returns when next has taken b, which is not changed by
// anybody: frames are shared by many clients.
func (p *pipe) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil // a ping, which says nothing
	}
	select {
	case p.written <- b:
		return len(b), nil
	case <-p.ended:
		return 0, net.ErrClosed
	}
}

// close ends the pipe, unless it has ended, for a reason that next returns.
func (p *pipe) close(reason error) {
	p.once.Do(func() {
		p.reason = reason
		close(p.ended)
	})
}

// CloseWrite is called when all was written.
func (p *pipe) CloseWrite() error { return p.Close() }

// Close implements net.Conn.
func (p *pipe) Close() error {
	p.close(ErrCut)
	return nil
}

// SetReadDeadline implements net.Conn. Nothing comes from the program.
func (p *pipe) SetReadDeadline(time.Time) error { return nil }
