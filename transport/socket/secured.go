package socket

import (
	"bytes"
	"crypto/tls"
	"sync"
	"time"
)

// maxRecord is how many bytes one record of TLS has (RFC 8446, section 5.1).
const maxRecord = 16 << 10

// secured reports whether the connection is one of TLS.
func (s *Socket) secured() bool {
	_, ok := s.Conn.(*tls.Conn)
	return ok
}

// mostAtOnce is how much of a queue goes into one write. What waits for a slow peer waits as it was sent, which it
// shares with others: only what is being written is its own copy, so over TLS that is a record.
func (s *Socket) mostAtOnce() int {
	if s.secured() {
		return maxRecord
	}
	return maxWrite
}

// sealNow is writeNow over TLS. It encrypts no more than the kernel takes, and one piece.
func (s *Socket) sealNow(w *Writer, c chunk) error {
	for {
		n := min(len(c.bytes), maxWrite)
		sent := 0
		sealed, err := s.carrier.seal(s.Conn, w.sealed, c.bytes[:n])
		if err == nil {
			sent, err = w.write(s.raw, sealed)
		}
		if err != nil {
			_ = s.close() // the write's error is the news
			return err
		}
		w.sealed = sealed
		c.bytes = c.bytes[n:]
		switch {
		case sent < len(sealed):
			s.enqueueRest(sealed[sent:], c)
			return nil
		case len(c.bytes) == 0:
			return nil
		}
	}
}

// enqueueRest makes wait what is left of a piece that was encrypted, and behind it what is left of its chunk.
func (s *Socket) enqueueRest(sealed []byte, c chunk) {
	s.newQueue()
	first := chunk{bytes: bytes.Clone(sealed), sealed: true}
	if len(c.bytes) == 0 {
		first.messages = c.messages
	}
	s.queue.append(first)
	if len(c.bytes) > 0 {
		s.queue.append(c)
	}
	s.queue.fixed = len(s.queue.chunks)
	s.count()
}

// sendReplies sends what TLS has said of itself while it read. Where a writer runs, that sends it.
func (s *Socket) sendReplies() {
	if !s.carrier.replied() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == taking && !s.corked && s.queue == nil {
		_ = s.sealNow(new(Writer), chunk{}) // the reader hears of it
	}
}

// sendEnd sends what TLS has said last.
func (s *Socket) sendEnd() error {
	sealed, _ := s.carrier.seal(s.Conn, nil, nil) // TLS takes no more, not even nothing
	if err := s.carrier.Conn.SetWriteDeadline(time.Now().Add(s.group.limits.Linger)); err != nil {
		return err
	}
	_, err := s.carrier.Conn.Write(sealed)
	return err
}

// joints and seals are buffers that are needed for one write.
var (
	joints = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	seals  = sync.Pool{New: func() any { return new([]byte) }}
)

// writeSecured is write over TLS: what waits is joined before it is encrypted.
func (s *Socket) writeSecured(t taken) error {
	if t.sealed {
		_, err := s.carrier.Conn.Write(t.bufs[0])
		return err
	}
	joint := joints.Get().(*bytes.Buffer)
	joint.Reset()
	for _, b := range t.bufs {
		joint.Write(b)
	}
	if s.carrier == nil {
		defer joints.Put(joint)
		_, err := s.Conn.Write(joint.Bytes())
		return err
	}
	buf := seals.Get().(*[]byte)
	defer seals.Put(buf)
	var err error
	*buf, err = s.carrier.seal(s.Conn, *buf, joint.Bytes())
	joints.Put(joint)
	if err == nil {
		_, err = s.carrier.Conn.Write(*buf)
	}
	return err
}
