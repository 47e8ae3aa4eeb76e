package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Bounds of what waits for a worker, in its inbox and in its groups. The reader
// waits while one is exceeded.
const (
	inboxEntries = 32 << 10
	inboxBytes   = 32 << 20
)

// A kind says what an entry asks of a worker.
type kind uint8

const (
	message  kind = iota // send frame to group
	gapped               // send frame to group, or end its members where it is nil
	attach               // session is here
	detach               // session has left
	joined               // the membership of catchup is here: keep what comes for it
	live                 // the broker has confirmed the channel of catchup: send frame, and let it hear
	replayed             // the broker has confirmed the channel of catchup: feed it from the history
	parted               // membership has left: send its last word behind its last message
	say                  // send frame to session
	endOne               // end session for reason
	endAll               // end every session, spread over a time
	barred               // send frame to group, which hears nothing more
	answered             // the client of membership has been told that it hears the channel: see that it still may
	told                 // send frame to the client of membership, unless it has left
	renewed              // the caller of session has another credential: see what it may hear, and send frame
	review               // see that all sessions may still hear what they do
	asked                // do it
	level                // catchup has been sent all up to frame's position
)

// A frame is a message, or an event, as one encoding has it.
type frame struct {
	bytes    []byte
	position broker.Position // zero where it has no place in the history
	delivery *delivery       // of a message that is traced; nil for all others
	received moment          // when its message came, with the last frame of it for a worker; else zero
	gap      bool            // it tells of a gap ahead of position, for one that is fed from the history
}

// An entry is one thing for a worker to do. Entries are done in order, but for
// messages of different groups.
type entry struct {
	kind       kind
	group      *group
	session    *session
	catchup    *catchup
	membership *membership
	frame      frame
	reason     transport.CloseReason
	over       time.Duration
	do         func()
}

// An inbox is the queue of a worker.
type inbox struct {
	mu      sync.Mutex
	room    sync.Cond
	entries []entry
	closed  bool
	frames  atomic.Int64  // messages that were not sent yet, whether taken or not
	bytes   atomic.Int64  // of them
	pushers atomic.Int64  // how many wait for room
	arrived chan struct{} // holds one token where the worker may have something to do
}

func newInbox() *inbox {
	b := &inbox{arrived: make(chan struct{}, 1)}
	b.room.L = &b.mu
	return b
}

// push appends what the broker sent, and waits while the inbox is full.
func (b *inbox) push(e entry) {
	b.mu.Lock()
	if b.full(len(e.frame.bytes)) {
		b.pushers.Add(1) // ahead of looking again: see sent
		for !b.closed && b.full(len(e.frame.bytes)) {
			b.room.Wait()
		}
		b.pushers.Add(-1)
	}
	b.append(e)
	b.mu.Unlock()
}

// full reports whether a frame of n bytes is too much. One frame always fits.
func (b *inbox) full(n int) bool {
	frames := int(b.frames.Load())
	return max(len(b.entries), frames) >= inboxEntries || frames > 0 && int(b.bytes.Load())+n > inboxBytes
}

// post appends what concerns a session. It never waits: there are a few of those for each session,
// and one for each command of its client, of which its transport takes so many at a time. It reports
// whether the worker still works.
func (b *inbox) post(e entry) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.append(e)
	return !b.closed
}

func (b *inbox) append(e entry) {
	if b.closed {
		return
	}
	b.entries = append(b.entries, e)
	if e.kind == message {
		b.frames.Add(1)
		b.bytes.Add(int64(len(e.frame.bytes)))
	}
	if len(b.entries) == 1 {
		b.wake()
	}
}

// wake has the worker look for something to do.
func (b *inbox) wake() {
	select {
	case b.arrived <- struct{}{}:
	default:
	}
}

// take returns all entries. It reuses spare, which must be done with and cleared.
func (b *inbox) take(spare []entry) []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.entries
	b.entries = spare[:0]
	b.room.Broadcast()
	return taken
}

// sent makes room: so many messages of so many bytes in all were sent. Only where somebody
// waits for room it takes the lock.
func (b *inbox) sent(frames, bytes int) {
	b.frames.Add(-int64(frames))
	b.bytes.Add(-int64(bytes))
	if b.pushers.Load() > 0 {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.room.Broadcast()
	}
}

// close makes the inbox swallow everything, so that nobody waits for room. It
// returns what waited.
func (b *inbox) close() []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.entries
	b.closed, b.entries = true, nil
	b.room.Broadcast()
	return left
}
