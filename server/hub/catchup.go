package hub

import (
	"context"
	"slices"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// Bounds of what waits for a subscriber that is fed from the history. Beyond them it is read from
// there, too.
const (
	pendingFrames = 1024     // of one channel
	pendingBytes  = 1 << 20  // of one channel, and of all channels of a session whose frames can be read again
	pendingLeast  = 16 << 10 // of one channel whatever the others have, so that it becomes level beside them
)

// readers is how many catchups of a session read at a time while its client does not keep up.
const readers = 8

// A catchup is a membership that does not hear what is live yet. Its worker keeps for
// it what comes, until the broker has confirmed the channel, or where the client wants
// messages of the history, until it is level: these are sent by a goroutine. When the
// goroutine has read to the end it says up to where; what the worker has kept of later
// messages follows, and from then on the session is a member of its group: no seam, and
// nothing twice.
type catchup struct {
	*membership
	wanted *transport.Subscription // nil for one that has fallen behind

	// What has a goroutine of its own uses the following:
	answer  chan bool       // the worker's to level: true where there is nothing more to be read
	from    origin          // where the channel ended when the broker had confirmed it; set ahead of replayed
	outside uint64          // how many messages the channel had beside its history when it was marked last; the goroutine's own
	kept    *page           // was read ahead of the answer, unless that has to wait; the goroutine's own
	moving  bool            // see origin; set ahead of live
	anew    bool            // nothing is missing behind the cut where an epoch begins; set ahead of level and live
	heard   broker.Position // the client has heard its epoch up to here, elsewhere; set ahead of level
	end     broker.Position // what was delivered behind this is kept, or was; set ahead of level and live

	ctx    context.Context // ends when c is stopped; set ahead of the goroutine
	cancel func()          // the worker's; nil where there is no goroutine

	mu   sync.Mutex
	over bool   // the goroutine sends nothing more
	owed []byte // the answer, where it was made and not sent yet

	// The rest is the worker's own.
	pending []frame
	bytes   int
	spilled bool            // something came that is not in pending
	holed   bool            // and that is not in the history either
	dropped broker.Position // the newest that was not kept

	level  bool            // the goroutine is done, and nothing beyond cut has come yet
	cut    broker.Position // all up to here was sent
	told   bool            // of a gap behind cut
	gapped bool            // and nothing was sent since
}

func newCatchup(m *membership) *catchup {
	c := &catchup{membership: m, answer: make(chan bool, 1)}
	if k := m.group.topic.track; k != nil {
		c.outside = k.Outsiders()
	}
	return c
}

// stop is called by the worker: when it returns, the goroutine has sent its last.
func (c *catchup) stop() {
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	if c.cancel != nil {
		c.cancel()
	}
	c.take()
}

// feed has task, which sends c what its client lacks, run until c is stopped. It is called by the
// worker, once.
func (c *catchup) feed(task func()) {
	s := c.session
	if s.turn == nil {
		s.turn = make(chan struct{}, readers)
	}
	c.ctx, c.cancel = context.WithCancel(s.hub.ctx)
	if !s.hub.spawn(func() { defer c.cancel(); task() }) {
		c.cancel()
	}
}

// awaitTurn returns when c's client has taken all that it was sent, and only some other channels of
// its session wait for that or read, until over is called. It returns false where c is stopped.
func (c *catchup) awaitTurn() (over func(), there bool) {
	select {
	case c.session.turn <- struct{}{}:
	case <-c.ctx.Done():
		return nil, false
	}
	over = sync.OnceFunc(func() { <-c.session.turn })
	if c.session.Socket.AwaitEmpty(c.ctx) != nil {
		over()
		return nil, false
	}
	return over, true
}

// pay notes that the answer of c is on its way.
func (c *catchup) pay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.owed = nil
}

// unanswered returns the answer that c's client was to get and has not got, once c is stopped.
func (c *catchup) unanswered() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.owed
}

// stopped reports whether nobody wants what the goroutine reads any more.
func (c *catchup) stopped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// keep keeps frames for later.
func (c *catchup) keep(frames []frame) {
	for _, f := range frames {
		c.pending = append(c.pending, f)
		c.bytes += len(f.bytes)
		c.session.pending += len(f.bytes)
		if c.spilled || c.keepsTooMuch(f) {
			c.spill()
		}
	}
}

// keepsTooMuch reports whether c keeps too much with f. A frame that no history has is dropped for
// what c has alone: its client would be told of a gap.
func (c *catchup) keepsTooMuch(f frame) bool {
	together := !f.position.IsZero() && c.session.pending > pendingBytes && c.bytes > pendingLeast
	return len(c.pending) > pendingFrames || c.bytes > pendingBytes || together
}

// spill drops what is pending.
func (c *catchup) spill() {
	for _, f := range c.pending {
		c.holed = c.holed || f.position.IsZero()
		if !f.gap && !f.position.IsZero() {
			c.dropped = f.position
		}
	}
	c.take()
	c.spilled = true
}

// hasHeard reports whether c's client says that it has heard the message at p.
func (c *catchup) hasHeard(p broker.Position) bool { return isHeard(c.heard, p) }

// isHeard reports whether a client that says it has heard its epoch up to a position has heard
// the message at p.
func isHeard(upTo, p broker.Position) bool {
	return p.Epoch == upTo.Epoch && p.Seq <= upTo.Seq && !upTo.IsZero()
}

// rest returns the frames that were not sent before: those beyond the cut, and
// those that have no place in the history. It reports whether the group is beyond
// the cut with them.
func (c *catchup) rest(frames []frame) (rest []frame, beyond bool) {
	for _, f := range frames {
		after := f.position.Compare(c.cut) > 0 && !c.hasHeard(f.position)
		if after || f.position.IsZero() {
			rest = append(rest, f)
		}
		beyond = beyond || after && f.position.Compare(c.heard) > 0
	}
	return rest, beyond
}

// fallBehind takes m out of the members of its group, to be fed from the history with what
// frames were to bring. It reports false where that cannot be had there.
func (w *worker) fallBehind(m *membership, frames []frame) bool {
	if !w.options.CatchUp || slices.ContainsFunc(frames, func(f frame) bool { return f.position.IsZero() }) {
		return false
	}
	m.vacate()
	c := newCatchup(m)
	m.lag(c)
	w.counts.caughtUp.Add(1)
	from := origin{at: backfill.Ahead(frames[0].position)}
	c.feed(func() { m.session.hub.replay.streamHistory(c, from) })
	return true
}

// sendBehind does for those who are fed from the history what send does for the
// members of g.
func (w *worker) sendBehind(g *group, frames []frame) {
	for i := len(g.behind) - 1; i >= 0; i-- { // one that catches up is taken out
		if c := g.behind[i]; c.level {
			w.sendRest(c, frames)
		} else {
			c.keep(frames)
		}
	}
}

// gapBehind does for one who is fed from the history what sendGap does for a member.
// Where it is known between which messages the gap is, c may find it in the history
// itself: what was read says that in the end.
func (w *worker) gapBehind(c *catchup, told frame) {
	told.gap = true
	switch {
	case !told.position.IsZero() && !c.level:
		c.keep([]frame{told})
	case !told.position.IsZero() && told.position.Compare(c.cut) <= 0:
	case told.position.IsZero() && c.level && c.gapped: // at this very place
	case len(told.bytes) == 0, c.level:
		c.told, c.gapped = true, true
		w.sendGap(c.session, told.bytes)
	default:
		c.keep([]frame{told})
	}
}

// catchUp is called when the history was read up to cut for c.
func (w *worker) catchUp(c *catchup, cut broker.Position) {
	if c.behind != c {
		c.answer <- true // it has left
		return
	}
	if c.spilled {
		if c.holed {
			w.sendGap(c.session, c.session.Encoding.Gap(transport.Gap{Channel: c.channel(), Reason: transport.SlowClient}))
		}
		c.spilled, c.holed = false, false
		c.answer <- false
		return
	}
	c.answer <- true
	w.sendFrom(c, cut)
}

// sendFrom sends what of that which was kept is beyond cut, which c was sent, and from then
// on what comes.
func (w *worker) sendFrom(c *catchup, cut broker.Position) {
	c.level, c.cut, c.told = true, cut, c.told || c.anew
	w.sendRest(c, c.take())
}

// take returns what was kept.
func (c *catchup) take() []frame {
	pending := c.pending
	c.session.pending -= c.bytes
	c.pending, c.bytes = nil, 0
	return pending
}

// goLive makes the membership of c, whose client begins with what is live, a member,
// once the broker has confirmed the channel: first comes answer, then what was kept.
func (w *worker) goLive(c *catchup, answer frame) {
	m := c.membership
	if m.behind != c {
		return // it has left
	}
	c.pay()
	w.say(m.session, answer.bytes)
	m.answered.Store(true)
	if w.reviewOne(m); m.behind != c {
		return // it has to go
	}
	if c.spilled {
		from := origin{at: answer.position, anew: c.anew}
		c.feed(func() { m.session.hub.replay.streamHistory(c, from) })
		return
	}
	if c.moving { // it is no member before something beyond that has come
		w.sendFrom(c, answer.position)
		return
	}
	pending := c.take()
	m.vacate()
	m.admit()
	w.sendFrames(m, pending)
}

// sendRest sends what of frames was not sent to c before, and makes it a member
// once something beyond that has come. Where something may be missing ahead of it, c is
// told of a gap.
func (w *worker) sendRest(c *catchup, frames []frame) {
	m := c.membership
	rest, beyond := c.rest(frames)
	if to, missing := c.misses(rest); missing {
		w.sendGap(m.session, m.session.Encoding.Gap(backfill.GapBetween(c.channel(), c.cut, to)))
		if m.behind != c {
			return // its encoding cannot express that, and it is to go
		}
	}
	if beyond {
		m.vacate()
		m.admit()
	} else {
		c.advance(rest)
	}
	c.gapped = c.gapped && len(rest) == 0
	w.sendFrames(m, rest)
}

// sendFrames sends frames to m alone. One that has no bytes stands for a gap that its
// encoding cannot express.
func (w *worker) sendFrames(m *membership, frames []frame) {
	untold := slices.IndexFunc(frames, func(f frame) bool { return f.gap && len(f.bytes) == 0 })
	if untold >= 0 {
		frames = frames[:untold]
		defer w.sendGap(m.session, nil)
	}
	defer w.output.show()
	for len(frames) > 0 {
		joined, left := join(frames)
		if !w.sendTo(m.group, member{m.session.Socket, m}, joined, frames[:len(frames)-len(left)]) {
			if m.behind != nil {
				m.behind.keep(left)
			}
			return
		}
		frames = left
	}
}

// advance moves the cut of c, which stays behind its group until what its client has
// heard elsewhere has gone by, to the last of frames.
func (c *catchup) advance(frames []frame) {
	for _, f := range frames {
		switch {
		case f.gap:
			c.told = true
		case !f.position.IsZero():
			c.cut, c.told = f.position, false
		}
	}
}

// misses reports whether something may be missing between what c was sent and the first
// message of frames, which is at to, without c being told of it:
//   - Where that is of another epoch, what the epoch of cut ended with may be lost, even if
//     nobody here has heard it.
//   - Where cut is before what the group was sent ahead of what was kept, the history has not
//     got that: it is the one of a new master, which has lost it, while the feed still brings
//     what comes from the old one.
func (c *catchup) misses(frames []frame) (to broker.Position, missing bool) {
	i := slices.IndexFunc(frames, func(f frame) bool { return f.gap || !f.position.IsZero() })
	if i < 0 || frames[i].gap || c.told {
		return to, false
	}
	to = frames[i].position
	another := !c.cut.IsZero() && to.Epoch != c.cut.Epoch
	return to, another || c.cut.Compare(c.end) < 0 || c.cut.Compare(c.dropped) < 0
}
