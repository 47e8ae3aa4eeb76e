package hub

import (
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// Bounds of what waits behind a fill, a topic. What does not fit is read again.
const (
	waitingMessages = 4096
	waitingBytes    = 4 << 20
)

// A track follows the positions of a topic's messages where there is a history, so
// that a hole is seen and filled before anything newer is delivered. Whoever
// delivers to the topic holds its lock: the reader, or the goroutine of a fill.
type track struct {
	mu    sync.Mutex
	begun bool            // last is known
	first broker.Position // of the newest message before the subscription, zero for none
	last  broker.Position // of the newest message delivered, or first
	woke  time.Time       // when the first message was delivered in a channel that had none
	fresh bool            // nothing was delivered since the subscription, or since a gap was told: whatever comes next follows
	told  bool            // a gap was told behind last

	filling bool             // somebody reads the history, and what comes waits
	waiting []broker.Message // oldest first
	bytes   int              // of their payloads
	again   bool             // the history is to be read once more
	spilled bool             // a message that has no place in the history did not fit
	hole    broker.Position  // that the last reading of the history did not fill
}

// begin notes the newest position before the topic was subscribed. Where the topic
// was there before, on a feed that has ended, its last position stays.
func (k *track) begin(newest broker.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.begun {
		k.begun, k.first, k.last, k.fresh, k.told = true, newest, newest, true, false
	}
}

// reached returns the position behind which messages are still to be delivered, and
// false where that is not known yet.
func (k *track) reached() (at broker.Position, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last, k.begun
}

// beginning returns what begin was given.
func (k *track) beginning() broker.Position {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first
}

// wasEmpty reports whether the channel had no message at a time.
func (k *track) wasEmpty(at time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.begun && (k.last.IsZero() || !k.woke.Before(at))
}

// reset forgets all, for a topic that is not subscribed any more.
func (k *track) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.filling { // or the fill would lose its way
		k.begun = false
	}
}

// A step is how a message comes after the one before.
type step int

const (
	follows step = iota // nothing is between them
	repeats             // it was delivered before
	jumps               // something is between them, or may be
)

// step moves on to p, unless there is a hole before it.
func (k *track) step(p broker.Position) step {
	switch {
	case p.IsZero(): // it has no place in the history
		return follows
	case p == k.last, p.Before(k.last): // also behind a gap that was told
		return repeats
	case k.fresh, k.last.Next(p):
		if k.last.IsZero() {
			k.woke = time.Now()
		}
		k.last, k.fresh, k.told = p, false, false
		return follows
	default:
		return jumps
	}
}

// jumpsTo reports whether step would say so of p.
func (k *track) jumpsTo(p broker.Position) bool {
	return !k.fresh && !k.last.Next(p) && p != k.last && !p.Before(k.last)
}

// earlier takes the oldest message that waits, where its position is before p.
func (k *track) earlier(p broker.Position) (m broker.Message, ok bool) {
	if len(k.waiting) == 0 || k.waiting[0].Position.Compare(p) >= 0 {
		return m, false
	}
	m = k.waiting[0]
	k.waiting = k.waiting[1:]
	return m, true
}

// wait keeps m until the fill is done.
func (k *track) wait(m broker.Message) {
	switch {
	case len(k.waiting) < waitingMessages && k.bytes+len(m.Data) <= waitingBytes:
		k.waiting = append(k.waiting, m)
		k.bytes += len(m.Data)
	case m.Position.IsZero():
		k.spilled = true
	default:
		k.again = true
	}
}

// mark reports whether the caller is to begin a fill. Where one is under way it
// will read once more.
func (k *track) mark() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again = k.filling
	k.filling = true
	return !k.again
}

// isLevel reports whether nothing is missing up to newest.
func (k *track) isLevel(newest broker.Position) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.last == newest
}

// where returns from where a fill reads on. Only the fill moves that meanwhile.
func (k *track) where() (last broker.Position, fresh bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again = false
	return k.last, k.fresh
}
