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

	moving bool // the message there may reach the session's worker still, or what comes next be of another epoch
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
