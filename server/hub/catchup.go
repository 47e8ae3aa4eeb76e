package hub

import (
	"slices"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Bounds of what waits for a subscriber that is fed from the history. Beyond them
// it is read from there, too.
const (
	pendingFrames = 1024
	pendingBytes  = 1 << 20
)

// A catchup is a session that is fed one channel's messages from the history, by a
// goroutine, until it is level with those who hear them live. Meanwhile the worker
// keeps what comes. When the goroutine has read to the end it says up to where;
// what the worker has kept of later messages follows, and from then on the session
// is a member of its group: no seam, and nothing twice.
//
// All but session, place, answer, outside, over, anew and heard is the worker's own.
type catchup struct {
	session *session
	place   int             // in the session's places
	answer  chan bool       // the worker's to level: true where there is nothing more to be read
	outside uint64          // how many messages the channel had beside its history when it was marked last; the goroutine's own
	over    atomic.Bool     // nothing more is to be sent by the goroutine
	anew    bool            // nothing is missing behind the cut where an epoch begins; set ahead of level
	heard   broker.Position // the client has heard its epoch up to here, elsewhere; set ahead of level

	pending []frame
	bytes   int
	spilled bool // something came that is not in pending
	holed   bool // and that is not in the history either

	level  bool            // the goroutine is done, and nothing beyond cut has come yet
	cut    broker.Position // all up to here was sent
	told   bool            // of a gap behind cut
	gapped bool            // and nothing was sent since
}

func newCatchup(s *session, place int) *catchup {
	c := &catchup{session: s, place: place, answer: make(chan bool, 1)}
	if k := c.group().topic.track; k != nil {
		c.outside = k.outsiders()
	}
	return c
}

func (c *catchup) group() *group { return c.session.places[c.place].group }

// keep keeps frames for later.
func (c *catchup) keep(frames []frame) {
	for _, f := range frames {
		c.pending = append(c.pending, f)
		c.bytes += len(f.bytes)
		if c.spilled || len(c.pending) > pendingFrames || c.bytes > pendingBytes {
			c.spill()
		}
	}
}

// spill drops what is pending.
func (c *catchup) spill() {
	for _, f := range c.pending {
		c.holed = c.holed || f.position.IsZero()
	}
	c.pending, c.bytes, c.spilled = nil, 0, true
}

// hasHeard reports whether c's client says that it has heard the message at p.
func (c *catchup) hasHeard(p broker.Position) bool {
	return p.Epoch == c.heard.Epoch && p.Seq <= c.heard.Seq && !c.heard.IsZero()
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

// fallBehind takes s out of the members of g, to be fed from the history with what
// frames were to bring. It reports false where that cannot be had there.
func (w *worker) fallBehind(g *group, s *session, frames []frame) bool {
	if !w.options.CatchUp || slices.ContainsFunc(frames, func(f frame) bool { return f.position.IsZero() }) {
		return false
	}
	i := s.place(g)
	s.places[i].vacate()
	c := newCatchup(s, i)
	w.lag(c)
	w.counts.caughtUp.Add(1)
	from := origin{at: ahead(frames[0].position)}
	s.hub.spawn(func() { s.hub.streamHistory(c, from) })
	return true
}

// lag begins to keep what comes for c.
func (w *worker) lag(c *catchup) {
	g := c.group()
	c.session.places[c.place].behind = c
	g.behind = append(g.behind, c)
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
		c.told = true
		c.keep([]frame{told})
	}
}

// catchUp is called when the history was read up to cut for c.
func (w *worker) catchUp(c *catchup, cut broker.Position) {
	if c.session.places[c.place].behind != c {
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
	c.level, c.cut, c.told = true, cut, c.told || c.anew
	pending := c.pending
	c.pending, c.bytes = nil, 0
	w.sendRest(c, pending)
}

// sendRest sends what of frames was not sent to c before, and makes it a member
// once something beyond that has come. If that is of another epoch, c is told of a
// gap: what the epoch of cut ended with may be lost, even if nobody here has heard it.
func (w *worker) sendRest(c *catchup, frames []frame) {
	g := c.group()
	rest, beyond := c.rest(frames)
	if c.ends(rest) {
		told := transport.Gap{Channel: c.channel(), Reason: transport.NewEpoch, From: c.cut}
		w.sendGap(c.session, c.session.Encoding.Gap(told))
		if c.session.places[c.place].behind != c {
			return // it has no words for that, and is to go
		}
	}
	if beyond {
		c.session.places[c.place].vacate()
		g.admit(c.session, c.place)
	}
	if !beyond {
		c.advance(rest)
	}
	c.gapped = c.gapped && len(rest) == 0
	untold := slices.IndexFunc(rest, func(f frame) bool { return f.gap && len(f.bytes) == 0 })
	if untold >= 0 {
		rest = rest[:untold]
		defer w.sendGap(c.session, nil)
	}
	for len(rest) > 0 {
		joined, left := join(rest)
		if !w.sendTo(g, c.session, joined, rest[:len(rest)-len(left)]) {
			if later := c.session.places[c.place].behind; later != nil {
				later.keep(left)
			}
			return
		}
		rest = left
	}
}

// advance moves the cut of c, which stays behind its group until what its client has
// heard elsewhere has gone by, to the last of frames.
func (c *catchup) advance(frames []frame) {
	for _, f := range frames {
		if !f.position.IsZero() && !f.gap {
			c.cut, c.told = f.position, false
		}
	}
}

// ends reports whether the epoch of what c was sent ends before frames, which c was
// not told of.
func (c *catchup) ends(frames []frame) bool {
	i := slices.IndexFunc(frames, func(f frame) bool { return !f.position.IsZero() })
	return i >= 0 && !frames[i].gap && !c.told && !c.cut.IsZero() && frames[i].position.Epoch != c.cut.Epoch
}
