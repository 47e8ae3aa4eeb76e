package hub

import (
	"math"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// oldest is a position before all others.
var oldest = broker.Position{Epoch: 1}

// An origin is a place in a channel behind which all messages follow.
type origin struct {
	at   broker.Position // of a message, or just before one; zero for a channel without
	anew bool            // nothing is missing before the first message of an epoch: see track.anew
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
func (o origin) after() broker.Position {
	if o.at.IsZero() {
		return oldest
	}
	return o.at
}

// misses reports whether something is missing between o and page, which was read from
// there.
func (o origin) misses(page broker.Page) bool {
	return !page.Complete && !(o.anew && begins(page)) && !o.adjoins(page)
}

// adjoins reports whether the first message of page is the one behind o.
func (o origin) adjoins(page broker.Page) bool {
	return len(page.Messages) > 0 && behind(o.at) == page.Messages[0].Position
}

// begins reports whether a page begins with the first message of an epoch, or has
// none.
func begins(page broker.Page) bool {
	return len(page.Messages) == 0 || page.Messages[0].Position.Seq == 0
}

// behind returns the position next to p in the order of Position.Compare.
func behind(p broker.Position) broker.Position {
	if p.Seq == math.MaxUint64 {
		return broker.Position{Epoch: p.Epoch + 1}
	}
	return broker.Position{Epoch: p.Epoch, Seq: p.Seq + 1}
}

// ahead is the opposite of behind. What it returns need not be the position of a
// message.
func ahead(p broker.Position) broker.Position {
	if p.Seq == 0 {
		return broker.Position{Epoch: p.Epoch - 1, Seq: math.MaxUint64}
	}
	return broker.Position{Epoch: p.Epoch, Seq: p.Seq - 1}
}

// begin tells the worker of c to keep what comes, and notes where the channel ends at that
// very moment: everything behind that is kept. The function that it returns is called when
// the broker has confirmed the channel, and says where the session begins.
func (h *Hub) begin(c *catchup) (confirmed func() origin) {
	join := func() { c.session.worker.post(entry{kind: joined, membership: c.membership}) }
	k := c.group.topic.track
	if k == nil {
		join()
		return func() origin { return origin{} }
	}
	if o, known := k.enter(join); known {
		return func() origin { return o }
	}
	return k.beginning
}
