package hub

import (
	"context"
	"errors"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// replayMessages is the most messages of one reading for one session.
const replayMessages = 256

// resume begins c where its client asked.
func (h *Hub) resume(c *catchup, start transport.Start) {
	if !start.Since {
		h.sendLast(c, start.Last)
		return
	}
	if start.After == transport.Outset {
		h.resumeOutset(c)
		return
	}
	newest, there := h.recoverable(c, start.After)
	// What an epoch ended with may have been lost with its end.
	recovered := there && newest.Epoch == start.After.Epoch
	switch {
	case !h.answer(c, newest, recovered):
	case there: // what is left of the epoch, and then the next
		h.feed(c, start.After)
	default:
		h.caughtUp(c, broker.Position{})
	}
}

// answer tells c's client whether it is recovered. It returns false where nothing
// more is to be sent.
func (h *Hub) answer(c *catchup, newest broker.Position, recovered bool) bool {
	told := c.session.Encoding.Subscribed(transport.Subscribed{Channel: c.channel(), Recovered: recovered, Position: newest})
	if len(told) == 0 && !recovered {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.EndUnrecovered})
		return false
	}
	return len(told) == 0 || c.send(h.ctx, told, 0)
}

func (c *catchup) channel() string { return c.group().topic.name }

// recoverable reports whether all of c's channel that is kept follows a position
// without a hole, and returns the newest position, zero where it is not known.
func (h *Hub) recoverable(c *catchup, after broker.Position) (newest broker.Position, there bool) {
	if h.history == nil || after.IsZero() {
		return newest, false
	}
	err := h.patiently(c, func() error {
		ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
		defer cancel()
		all, err := h.history.Newest(ctx, c.channel())
		if err != nil {
			return err
		}
		page, err := h.readHistory(c.channel(), after, 1)
		newest, there = all[0], page.Complete
		return err
	})
	return newest, err == nil && there
}

// patiently calls read until it succeeds, or for so long that nobody would wait for
// longer. Nothing is read for a client that has gone while it waited for its turn:
// otherwise clients that come and go faster than that would never be served.
func (h *Hub) patiently(c *catchup, read func() error) error {
	if !h.reading() {
		return broker.ErrClosed
	}
	defer h.doneReading()
	for began, backoff := time.Now(), minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		if c.over.Load() {
			return broker.ErrClosed
		}
		err := read()
		if err == nil || errors.Is(err, broker.ErrDenied) || time.Since(began) > fillPatience || !h.sleep(jitter(backoff)) {
			return err
		}
	}
}

// sendLast sends the newest n messages, and goes on from there.
func (h *Hub) sendLast(c *catchup, n int) {
	page, err := h.newestPage(c, n)
	if err != nil {
		h.lose(c, broker.Position{})
		return
	}
	h.goOn(c, page)
}

// newestPage reads the newest n messages, or as many as there are.
func (h *Hub) newestPage(c *catchup, n int) (page broker.Page, err error) {
	if h.history == nil {
		return broker.Page{Complete: true}, nil
	}
	err = h.patiently(c, func() (err error) {
		page, err = h.readHistory(c.channel(), broker.Position{}, n)
		return err
	})
	return page, err
}

// goOn sends a page of the newest messages, and what comes after it.
func (h *Hub) goOn(c *catchup, page broker.Page) {
	after, ok := h.sendPage(c, broker.Position{}, page)
	switch {
	case !ok:
	case after.IsZero():
		h.caughtUp(c, after)
	default:
		h.feed(c, after)
	}
}

// feed sends what comes after a position, at the pace of the client, until it is
// level with the others or has gone.
func (h *Hub) feed(c *catchup, after broker.Position) {
	for {
		if c.session.Socket.AwaitEmpty(h.ctx) != nil {
			return
		}
		var page broker.Page
		err := h.patiently(c, func() (err error) {
			page, err = h.readHistory(c.channel(), after, replayMessages)
			return err
		})
		if err != nil {
			h.lose(c, after)
			return
		}
		last, ok := h.sendPage(c, after, page)
		if !ok {
			return
		}
		after = last
		if !page.More && h.caughtUp(c, after) {
			return
		}
	}
}

// sendPage sends what was read behind after, and gaps wherever something is
// missing. It returns how far that goes, and false where the client has gone or is
// to go.
func (h *Hub) sendPage(c *catchup, after broker.Position, page broker.Page) (last broker.Position, ok bool) {
	e, channel := c.session.Encoding, c.channel()
	var frames []byte
	tell := func(g transport.Gap) bool {
		told := e.Gap(g)
		frames = append(frames, told...)
		return len(told) > 0
	}
	ok = true
	if !page.Complete {
		ok = tell(gapBefore(channel, after, page.Messages))
	}
	for i, m := range page.Messages {
		known := !after.IsZero() && (i > 0 || page.Complete)
		if ok && known && !after.Next(m.Position) {
			ok = tell(gapBetween(channel, after, m.Position))
		}
		frames = append(frames, e.Message(m)...)
		after = m.Position
	}
	if !ok {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.EndGap})
		return after, false
	}
	return after, len(frames) == 0 || c.send(h.ctx, frames, len(page.Messages))
}

// lose gives up reading for c: its client is told, and hears what is live.
func (h *Hub) lose(c *catchup, after broker.Position) {
	told := c.session.Encoding.Gap(transport.Gap{Channel: c.channel(), Reason: broker.LinkLost, From: after})
	if len(told) == 0 {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.EndGap})
		return
	}
	if c.send(h.ctx, told, 0) {
		h.caughtUp(c, after)
	}
}

// caughtUp says that c was sent all up to a position, and reports whether there is
// nothing more to be read for it.
func (h *Hub) caughtUp(c *catchup, upTo broker.Position) bool {
	if !c.session.worker.post(entry{kind: level, catchup: c, frame: frame{position: upTo}}) {
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
		if c.over.Load() {
			return false
		}
		_, err := c.session.Socket.Send(new(socket.Writer), socket.Batch{Frames: frames, Messages: messages})
		if !errors.Is(err, socket.ErrSlow) {
			return err == nil
		}
		if c.session.Socket.AwaitEmpty(ctx) != nil {
			return false
		}
	}
}
