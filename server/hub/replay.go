package hub

import (
	"context"
	"errors"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/internal/retry"
	"github.com/pregon/pregon/server/hub/internal/shared"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// replayMessages is the most messages of one reading for one session.
const replayMessages = 256

// outsetMessages is the most messages that a client gets which began before the
// first.
const outsetMessages = 1000

// A replay feeds clients from the history that do not begin with what is live, or cannot keep
// up with it. Each has a goroutine of its own, which reads at the client's pace until it is
// level with the others. What several want at the same time is read once.
type replay struct {
	filler *backfill.Filler // nil where there is no history
	ctx    context.Context  // ends with the hub

	verdicts shared.Reads[place, verdict]
	pages    shared.Reads[pageQuery, *page]
}

// resume begins c where its client asked. o is where the channel ended when the
// subscription was confirmed, or before: what is behind that reaches the client in any
// case.
func (r *replay) resume(c *catchup, start transport.Start, o origin) {
	switch {
	case !start.Since:
		r.sendLast(c, start.Last, o, func(from origin) bool { return r.answer(c, r.cursor(from), false) })
	case start.After == transport.Outset:
		// It is not recovered: nothing proves that no message has come and gone
		// since, and the history with it.
		if r.answer(c, transport.Outset, false) {
			r.sendLast(c, outsetMessages, o, func(origin) bool { return true })
		}
	default:
		r.resumeSince(c, start.After, o)
	}
}

// resumeSince continues c behind after, and where that is no place to go on from, with
// what comes behind o. Then the history is not read for that, unless too much has come
// meanwhile, and what comes up to after is left out: a client may have heard more than
// this node, of a master that was replaced, and would hear it again. Where the server
// does not know after's epoch, only messages of that epoch are: after may be from
// elsewhere, and far ahead of all that this channel will have.
func (r *replay) resumeSince(c *catchup, after broker.Position, o origin) {
	v, err := r.recoverable(c, after)
	switch {
	case v.there:
		o = origin{at: after}
	case v.heard.IsZero():
		c.heard = after
	case v.heard.Compare(o.at) > 0:
		o.at = v.heard
	}
	switch {
	case !r.answer(c, r.cursor(o), v.recovered):
	case err != nil:
		r.goLive(c, o)
	case v.there, !r.caughtUp(c, o): // what is left of the epoch, and then the next
		r.streamHistory(c, o)
	}
}

// cursor returns what a client is given for o, zero where there is no history.
func (r *replay) cursor(o origin) broker.Position {
	if r.filler == nil {
		return broker.Position{}
	}
	return o.cursor()
}

// answer tells c's client whether it is recovered, and behind which position
// everything follows. It returns false where nothing more is to be sent.
func (r *replay) answer(c *catchup, at broker.Position, recovered bool) bool {
	ok := true
	told := sync.OnceValue(func() (told []byte) { // while c cannot be stopped: so its beginning is told ahead of its end
		told, ok = c.said(transport.Subscribed{Channel: c.channel(), Recovered: recovered, Position: at})
		c.owed = told
		return told
	})
	if !c.send(told) || !ok {
		return false
	}
	if c.wanted.Since {
		c.session.hub.counts.resumed(recovered)
	}
	c.answered.Store(true)
	c.session.worker.post(entry{kind: answered, membership: c.membership})
	c.begun(*c.wanted)
	return true
}

// said returns what c's client is told of s. Where it should be told and cannot be, it is
// closed.
func (c *catchup) said(s transport.Subscribed) (told []byte, ok bool) {
	if c.wanted == nil || c.wanted.Answer == nil {
		return nil, true
	}
	if told, ok = c.wanted.Answer(s); !ok {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseUnrecovered})
	}
	return told, ok
}

// owe is said for an answer that the worker sends, unless the stay is over: what was said is sent all
// the same where it is over before that.
func (c *catchup) owe(s transport.Subscribed) (told []byte, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return nil, false
	}
	told, ok = c.said(s)
	c.owed = told
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
func (r *replay) recoverable(c *catchup, after broker.Position) (v verdict, err error) {
	if r.filler == nil || after.IsZero() {
		return v, nil
	}
	r.awaitSettled(c) // not in a turn: the fill needs one
	err = r.filler.Patiently(c.stopped, func() (err error) {
		v, err = r.verdicts.Do(place{c.channel(), after}, c.stopped, r.filler.InTurn, func() (verdict, error) {
			return r.judge(c.group.topic, after)
		})
		return err
	})
	return v, err
}

// judge reads the verdict of t behind a position, once.
func (r *replay) judge(t *topic, after broker.Position) (v verdict, err error) {
	newest, err := r.filler.Newest(r.ctx, t.name)
	if err != nil {
		return v, err
	}
	page, err := r.filler.History(t.name, broker.Query{After: after, Limit: 1})
	if err != nil {
		return v, err
	}
	mark, err := r.filler.NewestMark(t.name, t.track)
	if err != nil {
		return v, err
	}
	v.there = !backfill.Misses(after, false, page) // it may be the place ahead of a first message
	switch {
	case after.Compare(newest[0]) <= 0:
		v.heard = after
	case after.Epoch == newest[0].Epoch:
		v.heard = newest[0]
	}
	v.recovered = v.there && newest[0].Epoch == backfill.EpochBehind(after) && after.Compare(mark) > 0
	return v, nil
}

// awaitSettled waits until it is known what a lost link has cost the channel of c, or c
// has gone.
func (r *replay) awaitSettled(c *catchup) {
	k := c.group.topic.track
	for k.IsUnsettled() && !c.stopped() && retry.Sleep(c.ctx, retry.Jitter(retry.Min)) {
	}
}

// sendLast sends the newest n messages that there were at o, and goes on from there. Ahead
// of them it calls begin with the place before the first, and stops where that returns false.
func (r *replay) sendLast(c *catchup, n int, o origin, begin func(from origin) bool) {
	if r.filler == nil || o.at.IsZero() {
		if begin(o) {
			r.streamHistory(c, o)
		}
		return
	}
	last, err := broker.LastPage(n, func(q broker.Query) (broker.Page, error) {
		if q.Before.IsZero() {
			q.Before = backfill.Behind(o.at)
		}
		page, err := r.readPage(c, q)
		if err != nil {
			return broker.Page{}, err
		}
		return page.Page, nil
	})
	from := o
	if err == nil && len(last.Messages) > 0 {
		from = origin{at: backfill.AheadOf(last.Messages[0])}
		if c.session.Socket.Queued() < pieceBytes { // or it is read again when the client reads
			c.kept = &page{Page: last}
		}
	}
	switch {
	case !begin(from):
		return
	case err != nil:
		r.lose(c, o)
		return
	case c.kept != nil:
		sent, there := r.sendPage(c, from, c.kept)
		if c.kept = nil; !there {
			return
		}
		from = sent.next
	}
	if from.at != o.at {
		o = from
	}
	r.streamHistory(c, o)
}

// streamHistory sends what comes after o, at the pace of the client, until it is level
// with the others or has gone.
func (r *replay) streamHistory(c *catchup, o origin) {
	if r.filler == nil {
		r.goLive(c, o)
		return
	}
	for limit := replayMessages; ; {
		sent, there, err := r.sendNext(c, o, limit)
		switch {
		case !there:
			return
		case err != nil:
			r.lose(c, o)
			return
		}
		more := !sent.whole || sent.more && sent.next.at != o.at
		o, limit = sent.next, sent.limit(limit)
		if !more && r.caughtUp(c, o) {
			return
		}
	}
}

// lose gives up reading for c: its client is told, and hears what is live.
func (r *replay) lose(c *catchup, o origin) {
	if r.tellLoss(c, o) {
		r.goLive(c, o)
	}
}

// goLive lets c's client hear what is live. What came meanwhile and was too much to be
// kept for it is not read: it is told.
func (r *replay) goLive(c *catchup, o origin) {
	for !r.caughtUp(c, o) && r.tellLoss(c, o) {
	}
}

// tellLoss tells c's client that messages may be missing, or ends it, and reports
// whether it is still there.
func (r *replay) tellLoss(c *catchup, o origin) bool {
	told := c.session.Encoding.Gap(transport.Gap{Channel: c.channel(), Reason: broker.LinkLost, From: o.message()})
	if len(told) == 0 {
		c.session.worker.post(entry{kind: endOne, session: c.session, reason: transport.CloseGap})
		return false
	}
	return c.send(func() []byte { return told })
}

// caughtUp says that c was sent all that is behind o for now, and reports whether there
// is nothing more to be read for it.
func (r *replay) caughtUp(c *catchup, o origin) bool {
	c.anew = o.anew
	if !c.session.worker.post(entry{kind: level, catchup: c, frame: frame{position: o.at}}) {
		return true
	}
	select {
	case done := <-c.answer:
		return done
	case <-r.ctx.Done():
		return true
	}
}

// send sends a frame to c's client, as soon as there is room, and reports whether it is still
// there, and still to be fed.
func (c *catchup) send(frame func() []byte) bool {
	for {
		there, err := c.trySend(frame, 0)
		if !there || !errors.Is(err, socket.ErrSlow) {
			return there && err == nil
		}
		c.kept = nil
		if c.session.Socket.AwaitEmpty(c.ctx) != nil {
			return false
		}
	}
}

// trySend sends frames, which may be empty, unless c is stopped.
func (c *catchup) trySend(frames func() []byte, messages int) (there bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return false, nil
	}
	all := frames()
	if len(all) == 0 {
		return true, nil
	}
	if _, err = c.session.Socket.Send(new(socket.Writer), socket.Batch{Frames: all, Messages: messages}); err != nil {
		return true, err
	}
	c.owed = nil // it is the first of all
	if messages > 0 {
		c.session.hub.counts.replayed.Add(uint64(messages))
		c.session.hub.counts.replayedBytes.Add(uint64(len(all)))
	}
	return true, nil
}
