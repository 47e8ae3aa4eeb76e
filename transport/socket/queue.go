package socket

import (
	"net"
	"slices"
	"time"
)

// maxWrite is how much of a queue goes into one write.
const maxWrite = 64 << 10

// A chunk is a run of whole frames, or what is left of one.
type chunk struct {
	bytes    []byte
	messages int
	gap      []byte // takes its place where it is dropped; nil where it may not be
	told     bool   // bytes are the gap of chunks that were dropped
	sealed   bool   // bytes were encrypted
}

// A queue holds what a connection did not take. It exists for as long as a
// writer goroutine works on it, or the Socket is corked.
type queue struct {
	chunks   []chunk
	fixed    int // chunks at the front between which there is no boundary of frames, nor one before them
	bytes    int // that wait or are being written
	messages int // likewise

	watchdog       *time.Timer // calls Socket.look; nil until there is a writer
	progress       time.Time   // when the peer last took something
	unacknowledged int         // when it was last looked at
}

func (q *queue) append(c chunk) {
	q.chunks = append(q.chunks, c)
	q.bytes += len(c.bytes)
	q.messages += c.messages
}

// fits reports whether c is within l. An empty queue takes anything.
func (q *queue) fits(c chunk, l Limits) bool {
	return q.bytes == 0 || q.bytes+len(c.bytes) <= l.Bytes && q.messages+c.messages <= l.Messages
}

// insert puts a control frame at the next boundary between frames. It counts as a message: a pong of two bytes costs
// fifty times as much memory.
func (q *queue) insert(frame []byte, l Limits) error {
	c := chunk{bytes: frame, messages: 1}
	if !q.fits(c, l) {
		return ErrSlow
	}
	q.chunks = slices.Insert(q.chunks, q.fixed, c)
	q.bytes += len(frame)
	q.messages++
	return nil
}

// makeRoom drops the oldest chunks that may be dropped until no more than half
// of l waits: so it happens rarely, and costs little however long the queue is.
// The newest stays, though it alone may be too much beside what is being written: it
// is what the peer needs most. It returns how many messages are gone.
func (q *queue) makeRoom(l Limits) (dropped int) {
	half := Limits{Bytes: l.Bytes / 2, Messages: l.Messages / 2}
	kept := q.chunks[:0]
	newest := len(q.chunks) - 1
	for i, c := range q.chunks {
		if c.gap != nil && i != newest && i >= q.fixed && q.exceeds(half) {
			dropped += c.messages
			c = q.replace(c, kept)
		}
		if len(c.bytes) > 0 {
			kept = append(kept, c)
		}
	}
	clear(q.chunks[len(kept):])
	q.chunks = kept
	return dropped
}

func (q *queue) exceeds(l Limits) bool { return q.bytes > l.Bytes || q.messages > l.Messages }

// replace takes c out of the account and returns its gap in its place, or
// nothing where that gap stands there already: among those before, with nothing but
// gaps of dropped chunks behind it. Behind anything else, a gap of another reason
// included, it has to be told again.
func (q *queue) replace(c chunk, before []chunk) chunk {
	q.bytes -= len(c.bytes)
	q.messages -= c.messages
	for _, b := range slices.Backward(before) {
		if !b.told {
			break
		}
		if &b.bytes[0] == &c.gap[0] {
			return chunk{}
		}
	}
	q.bytes += len(c.gap)
	return chunk{bytes: c.gap, told: true}
}

// drop forgets all chunks but those of which a part has been sent.
func (q *queue) drop() {
	for _, c := range q.chunks[q.fixed:] {
		q.bytes -= len(c.bytes)
		q.messages -= c.messages
	}
	q.chunks = slices.Delete(q.chunks, q.fixed, len(q.chunks))
}

// take removes up to most bytes from the front and returns them, and how
// many messages they complete. What is encrypted comes alone.
func (q *queue) take(most int) (t taken) {
	whole, cut := 0, 0
	for whole < len(q.chunks) && t.size < most && !t.sealed {
		c := &q.chunks[whole]
		if c.sealed && whole > 0 {
			break
		}
		n := min(len(c.bytes), most-t.size)
		t.bufs = append(t.bufs, c.bytes[:n])
		t.size += n
		t.sealed = c.sealed
		if n < len(c.bytes) {
			c.bytes = c.bytes[n:]
			cut = 1
			break
		}
		t.messages += c.messages
		whole++
	}
	q.chunks = slices.Delete(q.chunks, 0, whole)
	q.fixed = max(q.fixed-whole, cut)
	return t
}

// A taken is what is written at once.
type taken struct {
	bufs     net.Buffers // nil where nothing waits
	size     int
	messages int // that it completes
	sealed   bool
}

// enqueue makes c wait, and starts the writer where none runs. It returns how
// many messages were dropped for that. The caller holds the lock.
func (s *Socket) enqueue(c chunk) (dropped int, err error) {
	if s.queue == nil {
		s.newQueue()
	}
	defer s.count()
	if s.queue.fits(c, s.group.limits) {
		s.queue.append(c)
		return 0, nil
	}
	if c.gap == nil {
		return 0, ErrSlow
	}
	s.queue.append(c)
	return s.queue.makeRoom(s.group.limits), nil
}

// writeNow writes what the connection takes and makes the rest wait. The caller
// holds the lock, and nothing waits.
func (s *Socket) writeNow(w *Writer, c chunk) error {
	if s.carrier != nil {
		return s.sealNow(w, c)
	}
	n, err := w.write(s.raw, c.bytes)
	if err != nil {
		_ = s.close() // the write's error is the news
		return err
	}
	if n == len(c.bytes) {
		return nil
	}
	s.newQueue()
	if n > 0 {
		s.queue.fixed = 1
	}
	c.bytes = c.bytes[n:]
	s.queue.append(c)
	s.count()
	return nil
}

// newQueue makes an empty queue and has it written, from Uncork on.
func (s *Socket) newQueue() {
	s.queue = &queue{}
	if !s.corked {
		s.startWriter()
	}
}

func (s *Socket) startWriter() {
	s.watch()
	s.group.writers.Go(s.drain)
}

// drain writes until the queue is empty or the connection has failed.
func (s *Socket) drain() {
	var last taken
	for {
		next, ended := s.nextWrite(last)
		if ended {
			s.shutdown()
		}
		if next.bufs == nil {
			return
		}
		if err := s.write(next); err != nil {
			_ = s.Close() // its reader hears of it
			return
		}
		last = next
	}
}

// nextWrite takes out of the queue's account what was written, and returns what
// to write next: nothing where nothing waits, after which no writer runs. Then
// ended says that there will never be.
func (s *Socket) nextWrite(last taken) (next taken, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queue
	if s.state == closed {
		q.watchdog.Stop()
		s.queue = nil
		return taken{}, false
	}
	q.bytes -= last.size
	q.messages -= last.messages
	s.count()
	q.progress = time.Now()
	next = q.take(s.mostAtOnce())
	if next.bufs == nil {
		q.watchdog.Stop()
		s.queue = nil
		s.wakeWaiters()
	}
	return next, next.bufs == nil && s.state == ending
}

// write writes and waits. The caller is the writer.
func (s *Socket) write(t taken) error {
	if s.secured() {
		return s.writeSecured(t)
	}
	_, err := t.bufs.WriteTo(s.Conn)
	return err
}

// shutdown ends the writing side and bounds the reading side. It is called
// without the lock: with TLS it writes, and can take seconds.
func (s *Socket) shutdown() {
	half, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || s.carrier != nil && s.sendEnd() != nil {
		_ = s.Close()
		return
	}
	_ = s.Conn.SetReadDeadline(time.Now().Add(s.group.limits.Linger)) // closed is as good
}
