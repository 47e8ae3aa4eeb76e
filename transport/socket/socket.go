package socket

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Errors of Send and Control.
var (
	// ErrSlow means that the bytes were refused because too much waits already.
	ErrSlow = errors.New("socket: the peer does not read fast enough")
	// ErrClosed means that the Socket has ended.
	ErrClosed = errors.New("socket: closed")
)

// Limits bound what a peer that does not read may cost.
type Limits struct {
	Bytes        int           // that wait in one Socket; one message may exceed it
	Messages     int           // that wait in one Socket, with control frames
	WriteTimeout time.Duration // longest time in which a peer that is written to takes nothing
	Linger       time.Duration // longest time between our end and the peer's
}

// A Group is what the Sockets of a server share.
type Group struct {
	limits  Limits
	writers sync.WaitGroup
	stalled atomic.Uint64
	waiting waiting
}

// NewGroup returns a Group with these limits, all of which must be positive.
func NewGroup(l Limits) *Group { return &Group{limits: l} }

// Wait returns when no goroutine of the Group's Sockets runs any more. The
// Sockets must have been closed.
func (g *Group) Wait() { g.writers.Wait() }

// New returns a Socket that keeps what it is sent. Its life goes on with Attach
// and Uncork, or ends with Close.
func (g *Group) New() *Socket { return &Socket{group: g, corked: true, shard: g.waiting.shard()} }

// The states of a Socket, in the order of its life.
type state uint8

const (
	taking state = iota // everything goes out
	ending              // what waits goes out, nothing more is taken
	closed
)

// A Socket sends to one peer. After Attach it is a net.Conn whose Write is for
// control frames: see [Socket.Write].
type Socket struct {
	net.Conn // nil before Attach
	group    *Group
	raw      syscall.RawConn // nil where there is no descriptor to write to
	carrier  *carrier        // of Conn, where that is one of TLS and Secure has made it
	more     bool            // Conn may have read more than the last Read returned

	mu      sync.Mutex
	state   state
	shard   uint8         // of Group.waiting
	corked  bool          // until Uncork: what is sent waits, and Write goes through
	queue   *queue        // nil while nothing waits
	counted int           // its bytes, as Group.waiting has them
	emptied chan struct{} // closed when AwaitEmpty is to look again; nil while nobody waits
}

// Attach gives the Socket its connection, which it owns from now on. It is
// called once, before any method of net.Conn.
func (s *Socket) Attach(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Conn = c
	if d, ok := c.(syscall.Conn); ok && canWriteDirectly {
		s.raw, _ = d.SyscallConn() // without one the queue does it all
	}
	if k, ok := inner(c).(*carrier); ok {
		s.carrier, s.raw = k, k.raw
	}
	if s.state == closed {
		_ = abort(c)
	}
}

// Uncork lets everything go out, first what was held.
func (s *Socket) Uncork() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.corked || s.state == closed {
		return
	}
	s.corked = false
	if s.carrier != nil {
		s.carrier.hold()
	}
	if s.queue != nil {
		s.startWriter()
	} else {
		s.wakeWaiters()
	}
}

// A Batch is what is sent at once. The Socket keeps its slices, which may be
// shared.
type Batch struct {
	Frames   []byte // whole ones
	Messages int    // that they carry

	// Gap, where not nil, is the frame that says that messages may be missing,
	// and allows the Socket to drop the Batch when too much waits after it:
	// the peer gets the Gap, once, in place of each run of Batches that were
	// dropped with the same one.
	// An empty Gap says nothing, and is as good as nil.
	DropNotice []byte
}

// Send sends b, without waiting, after all that was sent before. w is the
// calling goroutine's own. It returns how many messages were dropped for want of
// room, of this Batch or of earlier ones. After an error nothing of b is sent,
// unless the connection has failed.
func (s *Socket) Send(w *Writer, b Batch) (dropped int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != taking {
		return 0, ErrClosed
	}
	c := chunk{bytes: b.Frames, messages: b.Messages}
	if len(b.DropNotice) > 0 {
		c.gap = b.DropNotice
	}
	if s.corked || s.queue != nil || s.raw == nil {
		return s.enqueue(c)
	}
	return 0, s.writeNow(w, c)
}

// Control sends one control frame, without waiting, ahead of the messages that
// wait. The Socket keeps the frame.
func (s *Socket) Control(w *Writer, frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.state != taking:
		return ErrClosed
	case s.queue != nil:
		defer s.count()
		return s.queue.insert(frame, s.group.limits)
	case s.corked || s.raw == nil:
		_, err := s.enqueue(chunk{bytes: frame})
		return err
	}
	return s.writeNow(w, chunk{bytes: frame})
}

// Write implements net.Conn for a protocol library that answers pings and
// closes by itself, and calls Write once a frame. While the Socket is corked it
// writes to the connection and waits, as a handshake does; afterwards it
// is Control with a copy of p. A Socket that has ended swallows p: its last
// frame is out already.
func (s *Socket) Write(p []byte) (int, error) {
	s.mu.Lock()
	handshake := s.corked
	s.mu.Unlock()
	if handshake {
		return s.Conn.Write(p)
	}
	err := s.Control(new(Writer), append([]byte(nil), p...))
	if err != nil && !errors.Is(err, ErrClosed) {
		return 0, err
	}
	return len(p), nil
}

// CloseAfterFlush sends last after everything that waits, then ends the writing side, and
// gives the reading side Limits.Linger to end too.
func (s *Socket) CloseAfterFlush(last []byte) { s.end(last, false) }

// CloseNow is CloseAfterFlush without what waits, as far as no frame has to be cut in two.
func (s *Socket) CloseNow(last []byte) { s.end(last, true) }

func (s *Socket) end(last []byte, drop bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != taking {
		return
	}
	s.state = ending
	s.wakeWaiters()
	if s.Conn != nil {
		// What the reader has set must not end what still goes out. Where
		// this fails the connection has gone.
		_ = s.Conn.SetReadDeadline(time.Time{})
	}
	if s.queue == nil {
		s.newQueue()
	}
	if drop {
		s.queue.drop()
	}
	if len(last) > 0 {
		s.queue.append(chunk{bytes: last})
	}
	s.count()
}

// Ended reports whether the Socket was closed, or is about to be when what waits has gone out.
func (s *Socket) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state != taking
}

// AwaitInput returns when a Read would not wait, an error when it would fail. It
// needs less stack than Read. Where there is no descriptor it returns at once, and over TLS
// it may. It is for the goroutine that reads.
func (s *Socket) AwaitInput() error {
	if s.raw == nil || s.more {
		return nil
	}
	return awaitInput(s.raw)
}

// Read implements net.Conn. One goroutine reads at a time.
func (s *Socket) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if s.carrier != nil {
		s.more = n > 0 && n == len(p) // the rest of the record is TLS's
		s.sendReplies()
	}
	return n, err
}

// SetReadDeadline implements net.Conn. Once the Socket is ending the deadline is
// the Socket's own.
func (s *Socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != taking {
		return nil
	}
	return s.Conn.SetReadDeadline(t)
}

// SetWriteDeadline implements net.Conn. It does nothing: Limits.WriteTimeout applies.
func (s *Socket) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline implements net.Conn. It is SetReadDeadline.
func (s *Socket) SetDeadline(t time.Time) error { return s.SetReadDeadline(t) }

// Close closes the connection at once and drops what waits.
func (s *Socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.close()
}

func (s *Socket) close() error {
	if s.state == closed {
		return nil
	}
	s.state = closed
	s.count()
	s.wakeWaiters()
	if s.Conn == nil {
		return nil
	}
	return abort(s.Conn)
}

// abort closes c without a word to the peer: that of TLS can take seconds.
func abort(c net.Conn) error { return inner(c).Close() }
