package memory

import (
	"container/heap"
	"container/list"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// What is counted besides payloads, roughly what Go needs.
const (
	messageBytes = 256
	channelBytes = 512
	authorBytes  = 64
)

// sweepAtOnce is how many messages and channels one call forgets at most because of
// their age.
const sweepAtOnce = 256

// An archive is the history of a Bus: of each channel the newest messages. It has a
// lock of its own, which orders publications.
type archive struct {
	common *broker.RetentionPolicy // the same of every channel, for nodes that were told nothing else
	limit  int64                   // of bytes
	began  uint64                  // an epoch: when nothing was kept yet

	mu    sync.Mutex
	epoch uint64 // the newest one that was given
	pasts map[string]*past
	idle  *list.List // of *past, the longest unused first
	order *list.List // of *past, one for each message that is kept, the oldest first
	due   schedule
	bytes int64 // of all that is kept
	full  bool  // limit was reached once
}

func newArchive(keep broker.Retention) *archive {
	return &archive{
		common: broker.NewRetentionPolicy(keep, keep, nil), limit: DefaultHistoryBytes,
		began: uint64(time.Now().UnixMicro()), pasts: map[string]*past{}, idle: list.New(), order: list.New(),
	}
}

// A past is what is kept of one channel.
type past struct {
	channel string
	used    time.Time
	place   *list.Element // in the archive's idle

	policy *broker.RetentionPolicy // that of the node that used it last
	keep   broker.Retention        // what it says of this channel
	life   time.Duration           // and for how long that is remembered as a whole

	due   time.Time // when it is to be looked at, no later than something expires
	index int       // in the archive's due

	next  broker.Position // of the next message
	kept  []record        // oldest first
	byKey map[string]broker.Position
}

func (p *past) size() int64 { return channelBytes + int64(len(p.channel)) }

// A record is a message that is kept, and since when.
type record struct {
	message broker.Message
	since   time.Time
	place   *list.Element // in the archive's order
}

func (r record) size() int64 {
	size := messageBytes + len(r.message.Data) + len(r.message.Traceparent) + 2*len(r.message.Key) // byKey has it, too
	if by := r.message.By; by != nil {
		size += authorBytes + len(by.Subject) + len(by.Session)
	}
	return int64(size)
}

// add keeps m as policy says and returns it with its position, or the position of the
// one that has been published with its key.
func (a *archive) add(m broker.Message, policy *broker.RetentionPolicy) (kept broker.Message, repeated bool) {
	now := time.Now()
	a.sweep(now)
	p := a.use(m.Channel, policy, now)
	if p == nil {
		p = a.open(m.Channel, policy, now)
	}
	if first, ok := p.byKey[m.Key]; ok {
		m.Position = first
		return m, true
	}
	m.Position, m.Prev = p.next, p.next.Previous()
	p.next.Seq++
	if m.Key != "" {
		p.byKey[m.Key] = m.Position
	}
	r := record{m, now, a.order.PushBack(p)}
	p.kept = append(p.kept, r)
	a.bytes += r.size()
	if len(p.kept) == 1 {
		a.reschedule(p)
	}
	a.trim(p)
	a.shrink()
	m.Key = "" // it is not delivered
	return m, false
}

// trim forgets the messages of p that are too many. There is more than one where less is to
// be kept than was before.
func (a *archive) trim(p *past) {
	for range sweepAtOnce {
		if len(p.kept) <= p.keep.MaxMessages {
			return
		}
		a.drop(p)
	}
}

// use returns what is kept of a channel, nil for nothing, and keeps it for longer, as
// policy says.
func (a *archive) use(channel string, policy *broker.RetentionPolicy, now time.Time) *past {
	p := a.pasts[channel]
	if p == nil {
		return nil
	}
	p.used = now
	a.idle.MoveToBack(p.place)
	if p.policy != policy {
		p.obey(policy)
		a.reschedule(p)
	}
	return p
}

// obey has p be kept as policy says.
func (p *past) obey(policy *broker.RetentionPolicy) {
	p.policy, p.keep = policy, policy.Of(p.channel)
	p.life = policy.Life(p.keep)
}

// open begins a new past, in an epoch that no channel had before: the channel's
// last one may have been swept away.
func (a *archive) open(channel string, policy *broker.RetentionPolicy, now time.Time) *past {
	a.epoch = max(a.epoch+1, uint64(now.UnixMicro()))
	p := &past{channel: channel, used: now, next: broker.Position{Epoch: a.epoch}, byKey: map[string]broker.Position{}}
	p.obey(policy)
	p.due = p.expiry()
	p.place = a.idle.PushBack(p)
	heap.Push(&a.due, p)
	a.pasts[channel] = p
	a.bytes += p.size()
	return p
}

// shrink forgets the oldest messages of all channels while there is too much. A
// channel that has lost all of them still goes on in its epoch, so what comes next
// follows: channels are forgotten only where they alone are too many, the longest
// unused first.
func (a *archive) shrink() {
	for a.bytes > a.limit {
		a.full = true
		if p := oldest(a.order); p != nil {
			a.drop(p)
		} else if p := oldest(a.idle); p != nil {
			a.forget(p)
		}
	}
}

// oldest returns the first past in a list, nil for none.
func oldest(l *list.List) *past {
	if front := l.Front(); front != nil {
		return front.Value.(*past)
	}
	return nil
}

// drop forgets the oldest message of p.
func (a *archive) drop(p *past) {
	r := p.kept[0]
	delete(p.byKey, r.message.Key)
	a.order.Remove(r.place)
	a.bytes -= r.size()
	p.kept[0] = record{}
	if p.kept = p.kept[1:]; len(p.kept) == 0 {
		p.kept = nil // with the room that many messages have needed
	}
}

// forget forgets p. If its channel is used again, it is in a new epoch.
func (a *archive) forget(p *past) {
	for len(p.kept) > 0 {
		a.drop(p)
	}
	a.idle.Remove(p.place)
	heap.Remove(&a.due, p.index)
	delete(a.pasts, p.channel)
	a.bytes -= p.size()
}
