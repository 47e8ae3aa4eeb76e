package memory

import (
	"container/list"
	"sort"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// pageBytes is about how much payload one page of a history has.
const pageBytes = 1 << 20

// An archive is the history of a Bus: of each channel the newest messages. It has a
// lock of its own, which orders publications.
type archive struct {
	keep broker.Retention

	mu    sync.Mutex
	epoch uint64 // the newest one that was given
	pasts map[string]*past
	idle  *list.List // of *past, the longest unused first
}

func newArchive(keep broker.Retention) *archive {
	return &archive{keep: keep, pasts: map[string]*past{}, idle: list.New()}
}

// A past is what is kept of one channel.
type past struct {
	channel string
	used    time.Time
	place   *list.Element // in the archive's idle

	next  broker.Position // of the next message
	kept  []record        // oldest first
	byKey map[string]broker.Position
}

// A record is a message that is kept, and since when.
type record struct {
	message broker.Message
	since   time.Time
}

// add keeps m and returns it with its position, or the position of the one that
// has been published with its key.
func (a *archive) add(m broker.Message) (kept broker.Message, repeated bool) {
	now := time.Now()
	a.sweep(now)
	p := a.use(m.Channel, now)
	if p == nil {
		p = a.open(m.Channel, now)
	}
	p.expire(now, a.keep)
	if first, ok := p.byKey[m.Key]; ok {
		m.Position = first
		return m, true
	}
	m.Position = p.next
	p.next.Seq++
	if m.Key != "" {
		p.byKey[m.Key] = m.Position
	}
	p.kept = append(p.kept, record{m, now})
	p.expire(now, a.keep)
	m.Key = "" // it is not delivered
	return m, false
}

// use returns what is kept of a channel, nil for nothing, and keeps it for longer.
func (a *archive) use(channel string, now time.Time) *past {
	p := a.pasts[channel]
	if p != nil {
		p.used = now
		a.idle.MoveToBack(p.place)
	}
	return p
}

// open begins a new past, in an epoch that no channel had before: the channel's
// last one may have been swept away.
func (a *archive) open(channel string, now time.Time) *past {
	a.epoch = max(a.epoch+1, uint64(now.UnixMicro()))
	p := &past{channel: channel, used: now, next: broker.Position{Epoch: a.epoch}, byKey: map[string]broker.Position{}}
	p.place = a.idle.PushBack(p)
	a.pasts[channel] = p
	return p
}

// sweep forgets channels that were not used for so long that nothing of them has to
// be kept, one or two a call, so that there are never many more than are in use.
func (a *archive) sweep(now time.Time) {
	for range 2 {
		front := a.idle.Front()
		if front == nil || now.Sub(front.Value.(*past).used) <= 2*a.keep.Age {
			return
		}
		delete(a.pasts, a.idle.Remove(front).(*past).channel)
	}
}

// expire forgets messages that are too old or too many.
func (p *past) expire(now time.Time, keep broker.Retention) {
	n := max(0, len(p.kept)-keep.Messages)
	for n < len(p.kept) && now.Sub(p.kept[n].since) > keep.Age {
		n++
	}
	for i := range n {
		delete(p.byKey, p.kept[i].message.Key)
		p.kept[i] = record{}
	}
	p.kept = p.kept[n:]
}

// newest is the position of the newest message, kept or not; zero where there was
// none.
func (p *past) newest() broker.Position {
	if p == nil || p.next.Seq == 0 {
		return broker.Position{}
	}
	return broker.Position{Epoch: p.next.Epoch, Seq: p.next.Seq - 1}
}

// page returns what q asks for.
func (p *past) page(q broker.Query) broker.Page {
	if p == nil {
		return broker.Page{Complete: q.After.IsZero()}
	}
	if q.After.IsZero() {
		to := p.before(q.Before)
		from := p.start(to-q.Limit, to)
		return broker.Page{Messages: p.messages(from, to), Complete: true, More: from > 0}
	}
	oldest := broker.Position{Epoch: p.next.Epoch, Seq: p.next.Seq - uint64(len(p.kept))}
	from, complete := 0, false
	switch {
	case q.After.Compare(p.newest()) > 0: // of the future
		return broker.Page{}
	case q.After.Epoch == oldest.Epoch && q.After.Seq+1 >= oldest.Seq:
		from, complete = int(q.After.Seq+1-oldest.Seq), true
	}
	to := p.end(from, from+q.Limit)
	return broker.Page{Messages: p.messages(from, to), Complete: complete, More: to < len(p.kept)}
}

// before returns the index behind the messages before a position, of all where it
// is zero.
func (p *past) before(at broker.Position) int {
	if at.IsZero() {
		return len(p.kept)
	}
	return sort.Search(len(p.kept), func(i int) bool { return p.kept[i].message.Position.Compare(at) >= 0 })
}

// start returns where a page begins that is to begin at an index, and ends at
// another: later, where that would be too much, but not behind its last message.
func (p *past) start(index, to int) int {
	start, size := to, 0
	for start > max(0, index) && (size == 0 || size+len(p.kept[start-1].message.Data) <= pageBytes) {
		start--
		size += 1 + len(p.kept[start].message.Data)
	}
	return start
}

// end returns where a page ends that begins at an index and is to end at another:
// earlier, where that would be too much, but not before its first message.
func (p *past) end(from, to int) int {
	end, size := from, 0
	for end < min(to, len(p.kept)) && (size == 0 || size+len(p.kept[end].message.Data) <= pageBytes) {
		size += 1 + len(p.kept[end].message.Data)
		end++
	}
	return end
}

// messages returns those kept from one index to before another.
func (p *past) messages(from, to int) []broker.Message {
	messages := make([]broker.Message, 0, to-from)
	for _, r := range p.kept[from:to] {
		m := r.message
		m.Key = ""
		messages = append(messages, m)
	}
	return messages
}
