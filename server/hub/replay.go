package hub

import (
	"context"
	"errors"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/internal/backoff"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// replayMessages is the most messages of one reading for one session.
const replayMessages = 256

// outsetMessages is the most messages that a client gets which began before the
// first.
const outsetMessages = 1000

// resume begins c where its client asked. o is where the channel ended when the
// subscription was confirmed, or before: what is behind that reaches the client in any
// case.
func (h *Hub) resume(c *catchup, start transport.Start, o origin) {
	switch {
	case !start.Since:
		h.sendLast(c, start.Last, o, func(from origin) bool { return h.answer(c, h.cursor(from), false) })
	case start.After == transport.Outset:
		// It is not recovered: nothing proves that no message has come and gone
		// since, and the history with it.
		if h.answer(c, transport.Outset, false) {
			h.sendLast(c, outsetMessages, o, func(origin) bool { return true })
		}
	default:
		h.resumeSince(c, start.After, o)
	}
}

// resumeSince continues c behind after, and where that is no place to go on from, with
// what comes behind o. Then the history is not read for that, unless too much has come
// meanwhile, and what comes up to after is left out: a client may have heard more than
// this node, of a master that was replaced, and would hear it again. Where the server
// does not know after's epoch, only messages of that epoch are: after may be from
// elsewhere, and far ahead of all that this channel will have.
func (h *Hub) resumeSince(c *catchup, after broker.Position, o origin) {
	v, err := h.recoverable(c, after)
	switch {
	case v.there:
		o = origin{at: after}
	case v.heard.IsZero():
		c.heard = after
	case v.heard.Compare(o.at) > 0:
		o.at = v.heard
	}
	switch {
	case !h.answer(c, h.cursor(o), v.recovered):
	case err != nil:
		h.goLive(c, o)
	case v.there, !h.caughtUp(c, o): // what is left of the epoch, and then the next
		h.streamHistory(c, o)
	}
}

// cursor returns what a client is given for o, zero where there is no history.
func (h *Hub) cursor(o origin) broker.Position {
	if h.history == nil {
		return broker.Position{}
	}
	return o.cursor()
}

// answer tells c's client whether it is recovered, and behind which position
// everything follows. It returns false where nothing more is to be sent.
func (h *Hub) answer(c *catchup, at broker.Position, recovered bool) bool {
	told, ok := c.said(transport.Subscribed{Channel: c.channel(), Recovered: recovered, Position: at})
	return ok && (len(told) == 0 || c.send(h.ctx, told, 0))
}

// said returns what c's client is told of s. Where it should be told and cannot be, it is
// closed.
func (c *catchup) said(s transport.Subscribed) (told []byte, ok bool) {
	if c.tell == nil {
		return nil, true
	}
	if told, ok = c.tell(s); !ok {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseUnrecovered})
	}
	return told, ok
}

func (c *catchup) channel() string { return c.group.topic.name }

// A verdict says how a client can continue.
type verdict struct {
	there     bool            // all of the channel that is kept follows without a hole
	recovered bool            // and that is all there was
	heard     broker.Position // up to which the client has heard what is kept now, if it is honest; zero where nothing says so
}

// recoverable returns the verdict of c's channel behind a position. What an epoch ended
// with may have been lost with its end, and what other programs publish is not kept.
func (h *Hub) recoverable(c *catchup, after broker.Position) (v verdict, err error) {
	if h.history == nil || after.IsZero() {
		return v, nil
	}
	h.awaitSettled(c) // not in a turn: the fill needs one
	err = h.filler.Patiently(c.stopped, func() (err error) {
		v, err = h.verdicts.Do(place{c.channel(), after}, c.stopped, h.filler.InTurn, func() (verdict, error) {
			return h.judge(c.group.topic, after)
		})
		return err
	})
	return v, err
}

// judge reads the verdict of t behind a position, once.
func (h *Hub) judge(t *topic, after broker.Position) (v verdict, err error) {
	newest, err := h.filler.Newest(h.ctx, t.name)
	if err != nil {
		return v, err
	}
	page, err := h.filler.History(t.name, broker.Query{After: after, Limit: 1})
	if err != nil {
		return v, err
	}
	mark, err := h.filler.NewestMark(t.name, t.track)
	if err != nil {
		return v, err
	}
	v.there = page.Complete
	switch {
	case after.Compare(newest[0]) <= 0:
		v.heard = after
	case after.Epoch == newest[0].Epoch:
		v.heard = newest[0]
	}
	v.recovered = v.there && newest[0].Epoch == after.Epoch && after.Compare(mark) > 0
	return v, nil
}

// awaitSettled waits until it is known what a lost link has cost the channel of c, or c
// has gone.
func (h *Hub) awaitSettled(c *catchup) {
	k := c.group.topic.track
	for k.IsUnsettled() && !c.stopped() && backoff.Sleep(h.ctx, backoff.Jitter(backoff.Min)) {
	}
}

// sendLast sends the newest n messages that there were at o, and goes on from there. Ahead
// of them it calls begin with the place before the first, and stops where that returns false.
func (h *Hub) sendLast(c *catchup, n int, o origin, begin func(from origin) bool) {
	if h.history == nil || o.at.IsZero() {
		if begin(o) {
			h.streamHistory(c, o)
		}
		return
	}
	last, err := broker.LastPage(n, func(q broker.Query) (broker.Page, error) {
		if q.Before.IsZero() {
			q.Before = backfill.Behind(o.at)
		}
		page, err := h.readPage(c, q)
		if err != nil {
			return broker.Page{}, err
		}
		return page.Page, nil
	})
	from := o
	if err == nil && len(last.Messages) > 0 {
		from = origin{at: backfill.AheadOf(last.Messages[0])}
	}
	switch {
	case !begin(from):
		return
	case err != nil:
		h.lose(c, o)
		return
	case from != o:
		sent, ok := h.sendPage(c, from, &page{Page: last})
		if !ok {
			return
		}
		if sent.at != o.at {
			o = sent
		}
	}
	h.streamHistory(c, o)
}

// streamHistory sends what comes after o, at the pace of the client, until it is level
// with the others or has gone.
func (h *Hub) streamHistory(c *catchup, o origin) {
	if h.history == nil {
		h.goLive(c, o)
		return
	}
	for {
		if c.session.Socket.AwaitEmpty(h.ctx) != nil {
			return
		}
		page, err := h.readPage(c, broker.Query{After: o.after(), Limit: replayMessages})
		if err != nil {
			h.lose(c, o)
			return
		}
		next, ok := h.sendPage(c, o, page)
		if !ok {
			return
		}
		more := page.More && next.at != o.at
		o = next
		if !more && h.caughtUp(c, o) {
			return
		}
	}
}

// sendPage sends what was read behind o, and gaps wherever something is missing. It
// returns how far that goes, and false where the client has gone or is to go.
func (h *Hub) sendPage(c *catchup, o origin, p *page) (next origin, ok bool) {
	sent := p.encode(c.session.Encoding, c.channel(), o, c.heard)
	if sent.lost {
		h.filler.Recheck(transport.NotRetained, c.group.topic.track) // the others have not seen that
	}
	if sent.untold {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseGap})
		return sent.next, false
	}
	return sent.next, len(sent.frames) == 0 || c.send(h.ctx, sent.frames, len(p.Messages))
}

// lose gives up reading for c: its client is told, and hears what is live.
func (h *Hub) lose(c *catchup, o origin) {
	if h.tellLoss(c, o) {
		h.goLive(c, o)
	}
}

// goLive lets c's client hear what is live. What came meanwhile and was too much to be
// kept for it is not read: it is told.
func (h *Hub) goLive(c *catchup, o origin) {
	for !h.caughtUp(c, o) && h.tellLoss(c, o) {
	}
}

// tellLoss tells c's client that messages may be missing, or ends it, and reports
// whether it is still there.
func (h *Hub) tellLoss(c *catchup, o origin) bool {
	told := c.session.Encoding.Gap(transport.Gap{Channel: c.channel(), Reason: broker.LinkLost, From: o.message()})
	if len(told) == 0 {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseGap})
		return false
	}
	return c.send(h.ctx, told, 0)
}

// caughtUp says that c was sent all that is behind o for now, and reports whether there
// is nothing more to be read for it.
func (h *Hub) caughtUp(c *catchup, o origin) bool {
	c.anew = o.anew
	if !c.session.worker.post(entry{kind: level, catchup: c, frame: frame{position: o.at}}) {
		return true
	}
	select {
	case done := <-c.answer:
		return done
	case <-h.ctx.Done():
		return true
	}
}

// send sends frames to c's client, as soon as there is room, and reports whether
// it is still there, and still to be fed.
func (c *catchup) send(ctx context.Context, frames []byte, messages int) bool {
	for {
		there, err := c.trySend(frames, messages)
		if !there || !errors.Is(err, socket.ErrSlow) {
			return there && err == nil
		}
		if c.session.Socket.AwaitEmpty(ctx) != nil {
			return false
		}
	}
}

// trySend sends frames unless c is stopped.
func (c *catchup) trySend(frames []byte, messages int) (there bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false, nil
	}
	_, err = c.session.Socket.Send(new(socket.Writer), socket.Batch{Frames: frames, Messages: messages})
	return true, err
}
