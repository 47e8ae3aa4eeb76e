package hub

import (
	"time"

	"github.com/pregon/pregon/transport"
)

// What a worker does with sessions and their stays, beside sending to them: they come, are kept alive, end and go.

// endAll ends every session, spread over a time: see drainLimiter.spread.
func (w *worker) endAll(over time.Duration) {
	again := w.closing
	w.closing = true
	for s := range w.wheel.all() {
		w.leaving.add(s, transport.CloseShutdown)
	}
	w.leaving.spread(over, w.lead, again)
}

// endOne ends s behind what was published before. It is not for many at once: see
// drainLimiter.
func (w *worker) endOne(s *session, reason transport.CloseReason) {
	w.flushFor(s)
	w.mute(s)
	s.ending = true
	w.end(s, reason)
}

// end ends s, unless it has left meanwhile.
func (w *worker) end(s *session, reason transport.CloseReason) {
	if s.slot != gone {
		s.Socket.CloseAfterFlush(s.Control.Close(reason))
	}
}

// ping keeps the connections of the wheel's next slot alive, and ends those that
// have not answered.
func (w *worker) ping(now time.Time) {
	silent := now.Add(-w.options.PongTimeout).Unix()
	for _, s := range w.wheel.turn() {
		if s.AnswersPings && s.heard.Load() < silent {
			s.Socket.CloseNow(s.Control.Close(transport.CloseIdle))
			continue
		}
		// An error means that the connection is ending already.
		_ = s.Socket.Control(&w.writer, s.Control.Ping())
	}
}

// attach begins to keep the connection of s alive.
func (w *worker) attach(s *session) {
	w.wheel.add(s)
	if ends := s.caller.Ends(); !ends.IsZero() {
		w.expires.add(s, ends)
	}
	if w.closing {
		w.leaving.add(s, transport.CloseShutdown)
	}
}

// detach forgets s.
func (w *worker) detach(s *session) {
	w.wheel.remove(s)
	w.expires.remove(s)
	for s.memberships != nil {
		w.part(s.memberships)
	}
}

// join begins to keep what comes for c, unless it or its session has left before.
func (w *worker) join(c *catchup) {
	m := c.membership
	if m.left || m.session.slot == gone || m.session.ending {
		c.stop()
		return
	}
	m.link()
	m.lag(c)
}

// replay has c fed from the history. That it is done here keeps it behind the last word of
// the stay in the channel that the session had before.
func (w *worker) replay(c *catchup) {
	if h := c.session.hub; !c.stopped() {
		c.feed(func() { h.replay.resume(c, c.wanted.Start, c.from) })
	}
}

// part forgets m.
func (w *worker) part(m *membership) {
	m.left = true
	m.vacate()
	m.unlink()
}

// mute stops sending messages to s. Muting again does nothing.
func (w *worker) mute(s *session) {
	for m := s.memberships; m != nil; m = m.next {
		m.vacate()
	}
}
