package presence

import "time"

const (
	lease       = 8 * time.Second // after its last message a node counts as dead
	silentAfter = beatEvery + answerTime
	startTime   = 5 * time.Second         // of a new node, until it calls its lists complete
	restoreTime = 2500 * time.Millisecond // likewise, of one whose link was lost: all others have beaten
)

// A link is what this node knows of its way to the bus and back.
type link struct {
	good    bool      // what this node said has come back
	since   time.Time // when it became so
	heard   time.Time // when something of its own came back last
	behind  uint64    // a message up to this one proves nothing, as the link was lost since
	newest  uint64    // the newest that has come back
	full    time.Time // when the lists may be called complete
	refused time.Time // when there was a node too many
	turned  time.Time // when the Engine last had its turn
}

func newLink(now time.Time) link { return link{full: now.Add(startTime), turned: now} }

// back notes that a message of this node, which has said so many so far, came back.
func (l *link) back(sequence, said uint64, now time.Time) {
	if sequence <= l.newest || sequence <= l.behind || sequence > said {
		return
	}
	l.newest, l.heard = sequence, now
	if !l.good {
		l.good, l.since = true, now
		if full := now.Add(restoreTime); full.After(l.full) {
			l.full = full
		}
	}
}

// isLate notes the Engine's turn, and reports whether it came so late that others may have said
// something long ago that is still to be read.
func (l *link) isLate(now time.Time) bool {
	late := now.Sub(l.turned) > tellEvery+beatEvery
	l.turned = now
	return late
}

// mayExpire reports whether the silence of others means something.
func (l *link) mayExpire(now time.Time) bool { return l.good && now.Sub(l.since) >= lease }

// lose notes that what was said lately may not be heard, and what others said was lost.
func (e *Engine) lose() {
	e.link.good = false
	e.link.behind = e.outgoing.sequence
	e.outgoing.beatSoon()
}

// checkLink notes where this node does not hear itself any more.
func (e *Engine) checkLink(now time.Time) {
	late := e.link.isLate(now)
	if late || e.link.good && now.Sub(e.link.heard) > silentAfter {
		e.lose()
	}
}

// expire forgets the nodes that are dead, or have said that they stop.
func (e *Engine) expire(now time.Time) {
	for _, n := range e.others {
		switch {
		case !n.gone.IsZero() && !now.Before(n.gone):
			e.remove(n)
		case now.Sub(n.heard) > lease && e.link.mayExpire(now):
			e.log.Warn("presence: another node is not heard any more, and its members have left", "node", n.id, "members", n.size)
			e.remove(n)
		}
	}
}

// isIncomplete reports whether some node may have members in a bucket that are not known here.
func (e *Engine) isIncomplete(bucket int, now time.Time) bool {
	if !e.link.good || now.Before(e.link.full) || e.remote >= maxRemote ||
		!e.link.refused.IsZero() && now.Sub(e.link.refused) < lease {
		return true
	}
	for _, n := range e.others {
		since := n.differs[bucket].since
		if n.gone.IsZero() && (now.Sub(n.heard) > silentAfter || !since.IsZero() && now.Sub(since) > answerTime) {
			return true
		}
	}
	return false
}
