package hub

import (
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// Bounds of what waits behind a fill, per topic. What does not fit is read again.
const (
	waitingMessages = 4096
	waitingBytes    = 4 << 20
)

// A track follows the positions of a topic's messages where there is a history, so
// that a hole is seen and filled before anything newer is delivered. Only a position
// that adjoins the last one, or that the history has, moves it: a position that came
// through the feed alone, however far ahead, is a claim. What delivers to the topic
// holds its lock: the reader, or the goroutine of a fill.
type track struct {
	mu    sync.Mutex
	begun bool            // last is known
	first broker.Position // of the newest message before the subscription, zero for none
	last  broker.Position // of the newest message delivered, or first
	fresh bool            // the history could not be read: whatever comes next follows
	told  bool            // a gap was told behind last
	ended time.Time       // when that was; zero for a channel that had no message
	woke  time.Time       // when the first message behind that was delivered

	renewed time.Time // when the first message of another epoch than the one before was delivered

	filling bool             // somebody reads the history, and what comes waits
	waiting []broker.Message // oldest first, and between them what lossOf returns
	bytes   int              // of their payloads
	read    int              // how many of waiting had come before the last reading began
	again   bool             // the history is to be read once more
	spilled bool             // a message that has no place in the history did not fit; nor does what comes after it

	marked    bool             // other programs have published here without a place in the history
	markedAt  broker.Position  // behind which this node has heard or may have missed such a message last
	unsettled broker.GapReason // why the feed may have missed one, until that is settled; see marks.go
	losses    uint64           // how often the feed may have
	outside   uint64           // how many were heard or may have been missed
}

// begin notes the newest position before the topic was subscribed. Where the topic
// was there before, on a feed that has ended, its last position stays.
func (k *track) begin(newest broker.Position) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.begun {
		return
	}
	k.begun, k.first, k.last = true, newest, newest
	k.fresh, k.told, k.ended, k.woke, k.renewed = false, false, time.Time{}, time.Time{}, time.Time{}
	k.marked, k.markedAt, k.unsettled = false, broker.Position{}, ""
}

// enter calls join, which must not wait, at a moment when nothing is being delivered. It
// returns where the channel ends at that moment, and false where that is not known yet.
func (k *track) enter(join func()) (o origin, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	join()
	return origin{at: k.last, anew: k.anew()}, k.begun
}

// beginning returns the origin of those who came before the topic was subscribed.
func (k *track) beginning() origin {
	k.mu.Lock()
	defer k.mu.Unlock()
	return origin{at: k.first, anew: k.first.IsZero()}
}

// anew reports whether nobody misses anything where the next message is the first of
// an epoch: there was none before, or they were told.
func (k *track) anew() bool { return k.last.IsZero() || k.told }

// wasEmpty reports whether nothing was behind the end of the channel at a time, and
// nobody was told since that its history began anew. The caller holds the lock.
func (k *track) wasEmpty(at time.Time) bool {
	return k.begun && k.ended.Before(at) && k.renewed.Before(at) && (k.anew() || !k.woke.Before(at))
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
	repeats             // it was delivered before, or is older than what was
	jumps               // something is between them, or may be
)

// step says how p comes after what was delivered. Epochs only grow, so what is of an
// earlier one comes late.
func (k *track) step(p broker.Position) step {
	switch {
	case p.IsZero(): // it has no place in the history
		return follows
	case p.Compare(k.last) <= 0: // also behind a gap that was told
		return repeats
	case k.fresh, k.adjoins(p):
		return follows
	default:
		return jumps
	}
}

// adjoins reports whether nothing can be between the last message and p. Drivers
// number from 0; one that numbers from 1 is not told of a gap for it.
func (k *track) adjoins(p broker.Position) bool {
	return k.last.Next(p) || k.last.IsZero() && p.Seq <= 1
}

// move notes that the message at p is delivered, with all that is kept before it.
func (k *track) move(p broker.Position) {
	if p.IsZero() { // a client that continues behind last may have missed it
		k.markedAt = k.last
		return
	}
	if k.anew() {
		k.woke = time.Now()
	}
	if !k.last.IsZero() && k.last.Epoch != p.Epoch {
		k.renewed = time.Now()
	}
	k.last, k.fresh, k.told = p, false, false
}

// end notes that a gap is told behind the last message, and reports whether that is
// news.
func (k *track) end() bool {
	if k.told {
		return false
	}
	k.told, k.ended = true, time.Now()
	return true
}

// earlier takes the oldest message that waits, where its position is before p.
func (k *track) earlier(p broker.Position) (m broker.Message, ok bool) {
	if len(k.waiting) == 0 || k.waiting[0].Position.Compare(p) >= 0 {
		return m, false
	}
	m = k.waiting[0]
	k.shift(1)
	return m, true
}

// shift takes the n oldest messages out of those that wait.
func (k *track) shift(n int) {
	for _, m := range k.waiting[:n] {
		k.bytes -= len(m.Data)
	}
	k.waiting, k.read = k.waiting[n:], max(0, k.read-n)
}

// wait keeps m until the fill is done.
func (k *track) wait(m broker.Message) {
	outside := m.Position.IsZero()
	switch {
	case outside && k.spilled: // it is lost, too
	case len(k.waiting) < waitingMessages && k.bytes+len(m.Data) <= waitingBytes:
		k.enqueue(m)
	case outside:
		k.spilled = true
		k.lose(broker.Overrun)
	default:
		k.again = true
	}
}

func (k *track) enqueue(m broker.Message) {
	k.waiting = append(k.waiting, m)
	k.bytes += len(m.Data)
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

// where returns from where a fill reads on. Only the fill moves that meanwhile. What
// waits now is in what it reads, or in no history: a broker keeps a message before it
// sends it.
func (k *track) where() origin {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.again, k.read = false, len(k.waiting)
	return origin{at: k.last, anew: k.anew()}
}
