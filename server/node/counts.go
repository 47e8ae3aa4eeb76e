package node

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
)

// Publications are how many messages a Node's callers have published since it began, by what became of them.
type Publications struct {
	Published uint64 // the broker has accepted them
	Repeated  uint64 // likewise, under a key, before
	Refused   uint64 // they may not be published, or not like this
	Failed    uint64 // the broker was away: nobody hears them
	Unknown   uint64 // they may or may not have been published
}

// publications are Publications as they are counted.
type publications struct {
	published, repeated, refused, failed, unknown atomic.Uint64
}

// Publications returns what became of the messages of this node's callers. The node's own are not among them.
func (n *Node) Publications() Publications {
	p := &n.publications
	return Publications{
		Published: p.published.Load(), Repeated: p.repeated.Load(), Refused: p.refused.Load(),
		Failed: p.failed.Load(), Unknown: p.unknown.Load(),
	}
}

// add counts what the broker has answered.
func (p *publications) add(r broker.Result) {
	switch broker.OutcomeOf(r.Err) {
	case broker.Published:
		if r.Receipt.Repeated {
			p.repeated.Add(1)
			return
		}
		p.published.Add(1)
	case broker.NotPublished:
		if errors.Is(r.Err, broker.ErrUnavailable) || errors.Is(r.Err, broker.ErrClosed) {
			p.failed.Add(1)
			return
		}
		p.refused.Add(1)
	default:
		p.unknown.Add(1)
	}
}

// begin returns when a round trip with the broker begins, which is the zero Time where nobody wants to know.
func (n *Node) begin() (at time.Time) {
	if n.options.RoundTrip != nil {
		at = time.Now()
	}
	return at
}

// ended tells of a round trip that has ended.
func (n *Node) ended(began time.Time) {
	if n.options.RoundTrip != nil {
		n.options.RoundTrip(time.Since(began))
	}
}
