package presence

import (
	"bytes"
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
)

// Times and bounds of what a node says.
const (
	beatEvery  = 2 * time.Second
	beatSpread = 200 * time.Millisecond // around that, so that nodes do not all speak at once
	beatAtMost = time.Second            // where there is reason for one ahead of its time
	retryBeat  = 500 * time.Millisecond // after a publication that has failed
	turnEvery  = 100 * time.Millisecond // changes are joined for so long
	sayTimeout = 2 * time.Second        // for one publication
	byeTimeout = time.Second
	partEvery  = time.Second // between two tellings of one bucket

	maxSaid   = 64 << 10 // bytes of one message
	turnBytes = 4 * maxSaid
)

// outgoing is what this node has to tell the others.
type outgoing struct {
	sequence uint64
	beatAt   time.Time // when the next beat is due
	beaten   time.Time // when the last one was
	mute     bool      // the last publication has failed: nothing but beats is published

	// unsaid are the members of this node about whom the others do not know the newest: with what
	// stands for them in said.
	unsaid map[key]uint64
	said   [buckets]uint64 // digests of what the others know, if they have heard everything

	retold [buckets]retelling
}

// A retelling is a bucket that is being told in parts, or was.
type retelling struct {
	from *key      // the next part begins behind that; nil where none is under way
	ask  bool      // once more: it was asked for since the first part
	at   time.Time // when the next may begin
}

func newOutgoing(now time.Time) outgoing {
	return outgoing{beatAt: now, unsaid: map[key]uint64{}}
}

// changed notes what stands for a member, before and now.
func (o *outgoing) changed(k key, before, now uint64) {
	said, unsaid := o.unsaid[k]
	switch {
	case unsaid && said == now:
		delete(o.unsaid, k)
	case !unsaid && before != now:
		o.unsaid[k] = before
	}
}

// beatSoon has the next beat come ahead of its time, but not more than one in beatAtMost.
func (o *outgoing) beatSoon() {
	if soon := o.beaten.Add(beatAtMost); soon.Before(o.beatAt) {
		o.beatAt = soon
	}
}

// talk publishes what there is to say, until ctx ends. It alone does: so what this node says is in
// one order.
func (e *Engine) talk(ctx context.Context) {
	tick := time.NewTicker(turnEvery)
	defer tick.Stop()
	for {
		e.say(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// say publishes what there is to say now, as much as belongs in one turn.
func (e *Engine) say(ctx context.Context) {
	for left := turnBytes; left > 0; {
		data := e.next(time.Now())
		if data == nil || !e.publish(ctx, data) {
			return
		}
		left -= len(data)
	}
}

// publish reports whether data was published. Where that is not known, or did not happen, the others
// see it by the next beat.
func (e *Engine) publish(ctx context.Context, data []byte) bool {
	attempt, cancel := context.WithTimeout(ctx, sayTimeout)
	defer cancel()
	err := e.options.Bus.Publish(attempt, data)
	e.mu.Lock()
	o := &e.outgoing
	was := o.mute
	o.mute = err != nil
	if o.mute {
		o.beatAt = time.Now().Add(retryBeat)
	}
	e.mu.Unlock()
	if err != nil && !was && ctx.Err() == nil {
		e.log.Warn("presence: other nodes cannot be told who is here", "error", err)
	}
	return err == nil
}

// next returns the next message to publish, nil for none now.
func (e *Engine) next(now time.Time) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := &e.outgoing
	if !now.Before(o.beatAt) {
		o.beaten, o.beatAt = now, now.Add(beatEvery-beatSpread/2+rand.N(beatSpread))
		return e.message(message{Beat: e.beat()})
	}
	if o.mute {
		return nil
	}
	if ask := e.questions(now); len(ask) > 0 {
		return e.message(message{Ask: ask})
	}
	if changes := e.changes(); len(changes) > 0 {
		return e.message(message{Changes: changes})
	}
	if p := e.nextPart(now); p != nil {
		return e.message(message{Part: p})
	}
	return nil
}

// message completes m.
func (e *Engine) message(m message) []byte {
	e.outgoing.sequence++
	m.From, m.Sequence = e.own.id, e.outgoing.sequence
	return m.encode()
}

func (e *Engine) beat() *beat {
	return &beat{Digests: digests(&e.outgoing.said), Config: e.options.Config()}
}

// bye is the last message.
func (e *Engine) bye() {
	ctx, cancel := context.WithTimeout(context.Background(), byeTimeout)
	defer cancel()
	e.mu.Lock()
	b := e.beat()
	b.Leaving = true
	data := e.message(message{Beat: b})
	e.mu.Unlock()
	if err := e.options.Bus.Publish(ctx, data); err != nil {
		e.log.Debug("presence: the other nodes were not told that this one stops", "error", err)
	}
}

// changes takes as many of those that are unsaid as a message has room for.
func (e *Engine) changes() []change {
	var all []change
	size := 0
	for k := range e.outgoing.unsaid {
		v := e.valueOf(e.own, k)
		if !e.tell(k, v) {
			continue // it came and went
		}
		c := changeOf(k, v)
		all = append(all, c)
		if size += c.size(); size >= maxSaid-maxChange {
			break
		}
	}
	return all
}

// tell notes that the others will know v of a member of this node, and reports whether that is new
// to them.
func (e *Engine) tell(k key, v *value) bool {
	o := &e.outgoing
	before, ok := o.unsaid[k]
	if !ok {
		return false
	}
	delete(o.unsaid, k)
	now := hash(k, v)
	o.said[bucketOf(k.Channel)] ^= before ^ now
	return before != now
}

func changeOf(k key, v *value) change {
	if v == nil {
		return change{Channel: k.Channel, Subject: k.Subject}
	}
	return change{Channel: k.Channel, Subject: k.Subject, Info: v.info, Connections: v.connections, Since: v.since}
}

// maxChange is the most that size returns.
const maxChange = 2*broker.MaxChannel + 2*maxSubject + maxInfo + changeFrame

// changeFrame is what is around the texts of a change.
const changeFrame = 80

// size returns how many bytes c has at most as it is written, where each byte of the names is an escape.
func (c change) size() int {
	return 2*(len(c.Channel)+len(c.Subject)) + len(c.Info) + changeFrame
}

// nextPart returns the next part of a bucket that was asked for, nil for none now.
func (e *Engine) nextPart(now time.Time) *part {
	for b := range e.outgoing.retold {
		r := &e.outgoing.retold[b]
		if r.from == nil && r.ask && !now.Before(r.at) {
			r.from, r.ask, r.at = &key{}, false, now.Add(partEvery)
		}
		if r.from != nil {
			p := e.part(b, *r.from)
			if r.from = p.Until; r.from == nil {
				e.outgoing.beatSoon() // which shows the others that this is all
			}
			return p
		}
	}
	return nil
}

// part returns what this node has of a bucket behind a key, as much as a message has room for. It is
// true at this moment, whatever else is unsaid of it.
func (e *Engine) part(bucket int, after key) *part {
	p, size := &part{Bucket: bucket, After: after}, 0
	full := func(k key, v *value) bool {
		c := changeOf(k, v)
		p.Members = append(p.Members, c)
		size += c.size()
		return size >= maxSaid-maxChange
	}
	if last, stopped := e.walk(bucket, after, full); stopped {
		p.Until = &last
	}
	for k := range e.outgoing.unsaid {
		if p.covers(k) {
			e.tell(k, e.valueOf(e.own, k))
		}
	}
	return p
}

// covers reports whether p says what is so of k.
func (p *part) covers(k key) bool {
	return bucketOf(k.Channel) == p.Bucket && p.After.less(k) && (p.Until == nil || !p.Until.less(k))
}

// walk goes through this node's members of a bucket behind a key, in their order, until full
// reports true for one, which is returned.
func (e *Engine) walk(bucket int, after key, full func(key, *value) bool) (last key, stopped bool) {
	for _, name := range slices.Sorted(maps.Keys(e.channels[bucket])) {
		if strings.Compare(name, after.Channel) < 0 {
			continue
		}
		list := e.channels[bucket][name].list()
		if name == after.Channel {
			list = behind(list, after.Subject)
		}
		for _, person := range list {
			k := key{name, person.subject}
			if v := person.of(e.own); v != nil && full(k, v) {
				return k, true
			}
		}
	}
	return key{}, false
}

// same reports whether v and other say the same.
func (v *value) same(other *value) bool {
	return v.connections == other.connections && v.since == other.since && bytes.Equal(v.info, other.info)
}
