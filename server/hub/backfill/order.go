package backfill

import (
	"math"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Follows reports whether m comes behind last with nothing in between. Last may be the place
// ahead of m (see [AheadOf]).
func Follows(last broker.Position, m broker.Message) bool {
	return m.Follows(last) || last == AheadOf(m)
}

// AheadOf returns the place behind which m is the next message: that of the message before it,
// as far as that is known, or a place ahead of m where there is none.
func AheadOf(m broker.Message) broker.Position {
	switch m.Prev {
	case broker.Position{}:
		return Ahead(broker.Position{Epoch: m.Position.Epoch})
	case broker.PrevUnknown:
		return Ahead(m.Position)
	default:
		return m.Prev
	}
}

// Behind returns the position next to p in the order of Position.Compare, and p where it is the
// last one.
func Behind(p broker.Position) broker.Position {
	switch {
	case p.Seq < math.MaxUint64:
		return broker.Position{Epoch: p.Epoch, Seq: p.Seq + 1}
	case p.Epoch < math.MaxUint64:
		return broker.Position{Epoch: p.Epoch + 1}
	default:
		return p
	}
}

// Ahead is the opposite of Behind. What it returns need not be the position of a message.
func Ahead(p broker.Position) broker.Position {
	if p.Seq == 0 {
		return broker.Position{Epoch: p.Epoch - 1, Seq: math.MaxUint64}
	}
	return broker.Position{Epoch: p.Epoch, Seq: p.Seq - 1}
}

// EpochBehind returns the epoch of the message next to p, in which p is a place: that which begins
// there where p is ahead of its first message.
func EpochBehind(p broker.Position) uint64 { return Behind(p).Epoch }

// oldest is a position before all others.
var oldest = broker.Position{Epoch: 1}

// After returns the position to read on from behind last, which is zero in a channel without a
// message.
func After(last broker.Position) broker.Position {
	if last.IsZero() {
		return oldest
	}
	return last
}

// Misses reports whether something is missing between last and page, which was read from
// there. Where anew is true, nothing is missing before the first message of an epoch: there was
// no message before it, or its reader was told.
func Misses(last broker.Position, anew bool, page broker.Page) bool {
	first := len(page.Messages) > 0
	begins := !first || page.Messages[0].Prev.IsZero()
	return !page.Complete && !(anew && begins) && !(first && Follows(last, page.Messages[0]))
}

// GapBefore is the gap between last and the first of the messages that are left.
func GapBefore(channel string, last broker.Position, messages []broker.Message) transport.Gap {
	if len(messages) == 0 {
		return transport.Gap{Channel: channel, Reason: transport.NotRetained, From: last}
	}
	g := GapBetween(channel, last, messages[0].Position)
	if g.Reason == transport.Missing {
		g.Reason = transport.NotRetained
	}
	return g
}

// GapBetween is the gap between two messages that are neighbours in the history.
func GapBetween(channel string, from, to broker.Position) transport.Gap {
	g := transport.Gap{Channel: channel, Reason: transport.Missing, From: from, To: to}
	if from.Epoch != to.Epoch && !from.IsZero() {
		g.Reason = transport.NewEpoch
	}
	return g
}
