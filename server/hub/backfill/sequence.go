package backfill

import (
	"time"

	"github.com/pregon/pregon/broker"
)

// A sequence is how far a channel was delivered.
type sequence struct {
	begun bool            // last is known
	start broker.Position // of the newest message before the subscription, zero for none
	last  broker.Position // of the newest message delivered, or start
	blind bool            // the history could not be read: whatever comes next follows

	gapTold   bool      // a gap was told behind last
	toldAt    time.Time // when that was; zero for a channel that had no message
	firstAt   time.Time // when the first message behind that was delivered
	renewedAt time.Time // when the first message of another epoch than the one before was delivered
}

// begin notes the newest position before the channel was subscribed. Where it was subscribed
// before, on a feed that has ended, its last position stays.
func (s *sequence) begin(newest broker.Position) bool {
	if s.begun {
		return false
	}
	*s = sequence{begun: true, start: newest, last: newest}
	return true
}

// anew reports whether nobody misses anything where the next message is the first of an epoch:
// there was none before, or they were told.
func (s *sequence) anew() bool { return s.last.IsZero() || s.gapTold }

// wasEmpty reports whether nothing was behind the end of the channel at a time, and nobody was
// told since that its history began anew.
func (s *sequence) wasEmpty(at time.Time) bool {
	return s.begun && s.toldAt.Before(at) && s.renewedAt.Before(at) && (s.anew() || !s.firstAt.Before(at))
}

// renew notes that a gap is told where the channel was empty at a time, and reports whether it
// was.
func (s *sequence) renew(at time.Time) bool {
	if !s.wasEmpty(at) {
		return false
	}
	s.gapTold, s.toldAt = true, time.Now()
	return true
}

// A step is how a message comes after the one before.
type step int

const (
	follows step = iota // nothing is between them
	repeats             // it was delivered before, or is older than what was
	jumps               // something is between them, or may be
)

// step says how m comes after what was delivered. Epochs only grow, so what is of an earlier
// one comes late.
func (s *sequence) step(m broker.Message) step {
	switch {
	case m.Position.IsZero(): // it has no place in the history
		return follows
	case m.Position.Compare(s.last) <= 0: // also behind a gap that was told
		return repeats
	case s.blind, Follows(s.last, m):
		return follows
	default:
		return jumps
	}
}

// move notes that the message at p, which is not zero, is delivered, with all that is kept
// before it.
func (s *sequence) move(p broker.Position) {
	if s.anew() {
		s.firstAt = time.Now()
	}
	if !s.last.IsZero() && s.last.Epoch != p.Epoch {
		s.renewedAt = time.Now()
	}
	s.last, s.blind, s.gapTold = p, false, false
}

// tell notes that a gap is told behind the last message, and reports whether that is news.
func (s *sequence) tell() bool {
	if s.gapTold {
		return false
	}
	s.gapTold, s.toldAt = true, time.Now()
	return true
}
