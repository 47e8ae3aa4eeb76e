package hub

import (
	"math"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// An origin is a place in a channel behind which all messages follow.
type origin struct {
	at   broker.Position // of a message, or just before one; zero for a channel without
	anew bool            // nothing is missing before the first message of an epoch: see backfill.Misses

	moving bool // the message there may reach the session's worker still
}

// cursor returns the position that a client is given for o.
func (o origin) cursor() broker.Position {
	if o.at.IsZero() {
		return transport.Outset
	}
	return o.at
}

// message returns the position of the message before o, zero where there is none.
func (o origin) message() broker.Position {
	if o.at.Seq == math.MaxUint64 {
		return broker.Position{}
	}
	return o.at
}

// after returns the position to read on from.
func (o origin) after() broker.Position { return backfill.After(o.at) }

// misses reports whether something is missing between o and page, which was read from
// there.
func (o origin) misses(page broker.Page) bool { return backfill.Misses(o.at, o.anew, page) }

// begin tells the worker of c to keep what comes, and notes where the channel ends at that
// very moment: everything behind that is kept. The function that it returns is called when
// the broker has confirmed the channel, and says where the session begins.
func (h *Hub) begin(c *catchup) (confirmed func() origin) {
	join := func() { c.session.worker.post(entry{kind: joined, catchup: c}) }
	k := c.group.topic.track
	if k == nil {
		join()
		return func() origin { return origin{} }
	}
	if end := k.Enter(join); end.Known {
		return func() origin { return origin{at: end.At, anew: end.Anew, moving: end.Moving} }
	}
	return func() origin { return origin{at: k.Start(), anew: k.Start().IsZero()} }
}
