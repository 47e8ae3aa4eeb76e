package hub

import (
	"errors"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A progress is how far a client was sent what was read for it.
type progress struct {
	next  origin
	read  int  // messages up to there
	whole bool // that is all of what was read
	more  bool // and behind it is more to be read
}

// limit returns how many messages to read next where it was last before: a client that does not
// take a whole page gets on with smaller ones, so that little is read in vain, and then with ever
// larger ones again.
func (p progress) limit(last int) int {
	switch {
	case p.whole:
		return min(2*last, replayMessages)
	case p.read == 0:
		return last
	}
	return p.read
}

// sendNext reads one page behind o, and sends as much of it as the client takes. Where it has not
// taken what it was sent before, that is waited for first: then only some channels of a session read
// at a time, and not all of them in vain. It returns false where the client has gone or is to go.
func (r *replay) sendNext(c *catchup, o origin, limit int) (sent progress, there bool, err error) {
	over := func() {}
	if c.session.Socket.Queued() > 0 {
		if over, there = c.awaitTurn(); !there {
			return sent, false, nil
		}
	}
	defer func() { over() }()
	q := broker.Query{After: o.after(), Limit: limit}
	p, err := r.tryPage(c, q)
	if err != nil {
		over() // what waits after a failure keeps no other channel waiting
		p, err = r.readPage(c, q)
	}
	if err != nil {
		return sent, true, err
	}
	sent, there = r.sendPage(c, o, p)
	sent.more = p.More
	return sent, there, nil
}

// sendPage sends what was read behind o, piece by piece as long as the client takes them at once,
// and gaps wherever something is missing. It does not wait: the rest of a page is not kept for a
// client, but read again. It returns false where the client has gone or is to go.
func (r *replay) sendPage(c *catchup, o origin, p *page) (sent progress, there bool) {
	sent.next = o
	encoded := p.encode(c.session.Encoding, c.channel(), o, c.heard)
	if encoded.lost {
		r.filler.Recheck(transport.NotRetained, c.group.topic.track) // the others have not seen that
	}
	if encoded.untold {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseGap})
		return sent, false
	}
	for i, piece := range encoded.pieces {
		if i > 0 && c.session.Socket.Queued() > 0 {
			return sent, true
		}
		switch there, err := c.trySend(func() []byte { return piece.frames }, piece.messages); {
		case errors.Is(err, socket.ErrSlow):
			return sent, true
		case !there || err != nil:
			return sent, false
		}
		sent.next, sent.read, sent.whole = piece.next, sent.read+piece.read, i == len(encoded.pieces)-1
	}
	return sent, true
}
