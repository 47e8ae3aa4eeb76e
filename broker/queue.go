package broker

import (
	"slices"
	"sync"
)

// Bounds of a Queue made by NewQueue.
const (
	QueueMessages = 64 << 10 // messages
	QueueBytes    = 64 << 20 // bytes of payload
)

// A Queue stands between the goroutine of a driver that receives and the one
// that calls [Feed.Next]. The receiving side never waits: what does not fit is
// dropped, and a gap stands in its place. So a reader that stops harms no other,
// a link's confirmations are always read, and nothing is lost silently.
//
// Methods may be called concurrently; one goroutine at a time calls Next.
type Queue struct {
	mu      sync.Mutex
	arrived sync.Cond
	items   []item // what was pushed, oldest first
	bytes   int    // payload bytes waiting, in items and in taken
	count   int    // messages waiting, in items and in taken
	err     error  // set by Close

	taken []item // owned by Next: a batch that it hands out one by one
	next  int    // index into taken
}

// An item is a message, or a gap where gap is not nil.
type item struct {
	m   Message
	gap *gapSet
}

// A gapSet is a GapError under construction: Gap and Push add to it for as long
// as no message has come after it.
type gapSet struct {
	gapKind
	channels map[string]struct{}
}

// A gapKind is all of a gap but its channels.
type gapKind struct {
	reason     GapReason
	unfillable bool
}

// NewQueue returns an empty Queue that holds at most QueueMessages messages and
// QueueBytes bytes of payload; one message always fits into an empty Queue.
func NewQueue() *Queue {
	q := &Queue{}
	q.arrived.L = &q.mu
	return q
}

// Push appends m. Where the Queue is full it appends a gap of reason Overrun for
// m's channel instead, which is unfillable where m has no position.
func (q *Queue) Push(m Message) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count > 0 && (q.count >= QueueMessages || q.bytes+len(m.Data) > QueueBytes) {
		q.gap(gapKind{Overrun, m.Position.IsZero()}, m.Channel)
		return
	}
	q.count++
	q.bytes += len(m.Data)
	q.append(item{m: m})
}

// Gap appends a gap of channels. Gaps of one reason with no message between them
// become one, so that a link that comes and goes fills no memory.
func (q *Queue) Gap(reason GapReason, channels ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap(gapKind{reason, false}, channels...)
}

// GapUnfillable is Gap for messages that are known to be missing and in no history.
func (q *Queue) GapUnfillable(reason GapReason, channels ...string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.gap(gapKind{reason, true}, channels...)
}

func (q *Queue) gap(kind gapKind, channels ...string) {
	if len(channels) == 0 {
		return
	}
	set := q.newest(kind)
	if set == nil {
		set = &gapSet{gapKind: kind, channels: map[string]struct{}{}}
		q.append(item{gap: set})
	}
	for _, c := range channels {
		set.channels[c] = struct{}{}
	}
}

// newest returns the gap of that kind that no message has come after.
func (q *Queue) newest(kind gapKind) *gapSet {
	for _, it := range slices.Backward(q.items) {
		if it.gap == nil {
			return nil
		}
		if it.gap.gapKind == kind {
			return it.gap
		}
	}
	return nil
}

func (q *Queue) append(it item) {
	if q.err != nil {
		return
	}
	q.items = append(q.items, it)
	if len(q.items) == 1 {
		q.arrived.Signal()
	}
}

// Close ends the Queue: Next returns err at once, and what waits is dropped.
// Only the first call counts.
func (q *Queue) Close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
		q.items = nil
		q.arrived.Broadcast()
	}
}

// Next returns what [Feed.Next] owes: the oldest message or gap, or the error of
// Close. It waits while the Queue is empty.
func (q *Queue) Next() (Message, error) {
	if q.next == len(q.taken) {
		if err := q.take(); err != nil {
			return Message{}, err
		}
	}
	it := q.taken[q.next]
	q.taken[q.next] = item{}
	q.next++
	return q.release(it)
}

// take swaps the batch that Next has finished for all that waits.
func (q *Queue) take() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.items) == 0 && q.err == nil {
		q.arrived.Wait()
	}
	if q.err != nil {
		return q.err
	}
	q.taken, q.items, q.next = q.items, q.taken[:0], 0
	return nil
}

// release takes it out of the bounds and turns it into Next's answer.
func (q *Queue) release(it item) (Message, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return Message{}, q.err
	}
	if it.gap == nil {
		q.count--
		q.bytes -= len(it.m.Data)
		return it.m, nil
	}
	channels := make([]string, 0, len(it.gap.channels))
	for c := range it.gap.channels {
		channels = append(channels, c)
	}
	slices.Sort(channels)
	return Message{}, &GapError{Channels: channels, Reason: it.gap.reason, Unfillable: it.gap.unfillable}
}
