package socket

import (
	"net"
	"syscall"
	"time"
)

// looks is how often, within Limits.WriteTimeout, a Socket looks whether its peer takes
// what is written.
const looks = 4

// watch begins to look, for as long as the queue is there. A deadline of the
// connection's would not do: a write is done when the kernel has room for all of it, and
// the kernel wakes the writer only when a good part of its buffer is free, which may be a
// megabyte. A peer that reads steadily can need longer for that. With TLS, besides, a
// deadline that has passed ends the connection. The caller holds the lock.
//
// The timer's goroutine waits for nothing but the lock, and does nothing once the queue
// is gone, so nobody waits for it.
func (s *Socket) watch() {
	q := s.queue
	q.progress = time.Now()
	q.watchdog = time.AfterFunc(s.group.limits.WriteTimeout/looks, func() { s.look(q) })
}

// look disconnects a peer that has taken nothing for Limits.WriteTimeout.
func (s *Socket) look(q *queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queue != q || s.state == closed {
		return
	}
	if n := s.unacknowledged(); n != q.unacknowledged { // whether it has fallen, or grown into the room that was made
		q.unacknowledged, q.progress = n, time.Now()
	}
	stall := s.group.limits.WriteTimeout
	if idle := time.Since(q.progress); idle < stall {
		q.watchdog.Reset(min(stall/looks, stall-idle))
		return
	}
	if s.state == taking {
		s.group.stalled.Add(1)
	}
	_ = s.close() // the writer and the reader hear of it
}

// unacknowledged returns how many bytes of what was written the peer has not taken,
// as far as the system tells. A transport.Stream, which has no descriptor, says how many it has
// written instead: that changes, too, when the peer takes something.
func (s *Socket) unacknowledged() int {
	if c, ok := s.Conn.(interface{ Written() int64 }); ok {
		return int(c.Written())
	}
	d, ok := inner(s.Conn).(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := d.SyscallConn()
	if err != nil {
		return 0
	}
	return unacknowledged(raw)
}

// Stalled returns how many peers were disconnected because they took nothing for
// Limits.WriteTimeout, though their Sockets were still sent to.
func (g *Group) Stalled() uint64 { return g.stalled.Load() }

// inner returns the connection below TLS.
func inner(c net.Conn) net.Conn {
	if wrapped, ok := c.(interface{ NetConn() net.Conn }); ok {
		return wrapped.NetConn()
	}
	return c
}
