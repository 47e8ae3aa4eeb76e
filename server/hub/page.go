package hub

import (
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// A place is a position in a channel.
type place struct {
	channel string
	at      broker.Position
}

// A pageQuery is what is read of a channel's history.
type pageQuery struct {
	channel string
	query   broker.Query
}

// A page is a part of a history that clients which come back together are sent. They share
// the reading of it and, as far as they read the same format, what it is encoded to.
type page struct {
	broker.Page

	mu      sync.Mutex
	encoded map[encodedFor]encodedPage
}

// An encodedFor is what the encoding of a page depends on.
type encodedFor struct {
	encoding transport.Encoding
	from     origin
	heard    broker.Position
}

// pieceBytes is how much of a page a client is sent at a time, and one message more: about what it
// holds while it reads nothing. A page can be a hundred times that, and unlike what is live, few
// share it.
const pieceBytes = 64 << 10

// An encodedPage is a page as clients of one encoding read it from one origin on.
type encodedPage struct {
	pieces []piece // at least one
	untold bool    // it has a gap that the encoding cannot express
	lost   bool    // all that there was behind the origin is lost
}

// A piece is a part of a page. Its frames are no part of others: a client that holds one holds
// nothing else.
type piece struct {
	frames   []byte
	messages int    // in frames
	read     int    // of the page, those that the client has before included
	next     origin // how far it goes
}

// readPage reads one page for c, together with all who want the same at the moment.
func (r *replay) readPage(c *catchup, q broker.Query) (p *page, err error) {
	err = r.filler.Patiently(c.stopped, func() (err error) {
		p, err = r.tryPage(c, q)
		return err
	})
	return p, err
}

// tryPage is readPage, once.
func (r *replay) tryPage(c *catchup, q broker.Query) (*page, error) {
	p, err := r.pages.Do(pageQuery{c.channel(), q}, c.stopped, r.filler.InTurn, func() (*page, error) {
		read, err := r.filler.History(c.channel(), q)
		return &page{Page: read}, err
	})
	if err == nil && len(p.Messages) > 0 {
		c.outside, err = c.group.topic.track.Overtake(c.outside)
	}
	return p, err
}

// encode returns p, which was read behind from, as e has it, with gaps wherever something is
// missing, and without what is heard.
func (p *page) encode(e transport.Encoding, channel string, from origin, heard broker.Position) encodedPage {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := encodedFor{e, from, heard}
	encoded, ok := p.encoded[key]
	if !ok {
		encoded = p.encodeAnew(e, channel, from, heard)
		if p.encoded == nil {
			p.encoded = map[encodedFor]encodedPage{}
		}
		p.encoded[key] = encoded
	}
	return encoded
}

func (p *page) encodeAnew(e transport.Encoding, channel string, o origin, heard broker.Position) (encoded encodedPage) {
	var now piece
	tell := func(g transport.Gap) {
		told := e.Gap(g)
		now.frames = append(now.frames, told...)
		encoded.untold = encoded.untold || len(told) == 0
	}
	if o.misses(p.Page) {
		tell(backfill.GapBefore(channel, o.message(), p.Messages))
		o.anew, encoded.lost = true, len(p.Messages) == 0
	}
	for i, m := range p.Messages {
		if len(now.frames) >= pieceBytes {
			now.next = o
			encoded.pieces, now = append(encoded.pieces, now), piece{}
		}
		now.read++
		switch {
		case m.Position.Compare(o.at) <= 0: // a driver that goes back
			continue
		case isHeard(heard, m.Position):
			o = origin{at: m.Position}
			continue
		case !backfill.Follows(o.at, m) && (i > 0 || p.Complete):
			tell(backfill.GapBetween(channel, o.message(), m.Position))
		}
		now.frames = append(now.frames, e.Message(m)...)
		now.messages++
		o = origin{at: m.Position}
	}
	now.next = o
	encoded.pieces = append(encoded.pieces, now)
	return encoded
}
