package hub

import "github.com/pregon/pregon/transport"

// reviewStep is how many sessions are reviewed before a worker looks for what else there is
// to do.
const reviewStep = 64

// Review asks the Callers of all sessions whether they may still hear what they do. Those
// that may notice nothing; one that may not is ended with CloseForbidden. It does not wait
// for that: the workers do it between messages, and take no lock for it.
//
// A session that subscribes meanwhile is asked once more when its worker has the channel:
// so whatever the Callers say when Review is called, no session slips through.
func (h *Hub) Review() {
	for _, w := range h.workers {
		w.post(entry{kind: review})
	}
}

// now is a channel that is always ready.
var now = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// A reviewing is a worker's way through its sessions: slot by slot of the wheel, once around
// from where it stands when that is asked for. Asked for again it goes on, so that however
// often it is asked for, it comes to all.
type reviewing struct {
	next  <-chan struct{} // when to call step; nil where nothing is to be done
	slot  int
	left  int // sessions of slot, the first ones, that were not reviewed
	slots int // to be begun yet
	ended int
}

func (r *reviewing) begin() {
	r.slots, r.next = wheelSlots, now
}

// step reviews some sessions of w.
//
// In a slot it goes from the last session down: what is taken out leaves its place to the
// last, which was reviewed, and what comes is put behind it, and was asked for by itself.
func (r *reviewing) step(w *worker) {
	sessions := w.wheel.slots[r.slot]
	r.left = min(r.left, len(sessions))
	for n := 0; n < reviewStep && r.left > 0; n++ {
		r.left--
		if !w.review(sessions[r.left]) {
			r.ended++
		}
	}
	switch {
	case r.left > 0:
	case r.slots > 0:
		r.slots--
		r.slot = (r.slot + 1) % wheelSlots
		r.left = len(w.wheel.slots[r.slot])
	default:
		if r.ended > 0 {
			w.options.Logger.Info("hub: sessions were ended, as their callers may not hear their channels any more", "sessions", r.ended)
		}
		r.next, r.ended = nil, 0
	}
}

// review ends those channels of s that its caller may not hear any more, or where the client
// cannot be told of that, or the caller is not known, s. It reports false where it has ended s.
func (w *worker) review(s *session) bool {
	if s.ending {
		return true
	}
	if !s.caller.IsKnown() {
		w.endOne(s, transport.CloseForbidden)
		return false
	}
	for m, next := s.memberships, (*membership)(nil); m != nil; m = next {
		next = m.next
		if !w.reviewOne(m) {
			return false
		}
	}
	return true
}

// reviewOne ends the stay m if its caller may not hear the channel any more. It reports false
// where it has ended the session.
func (w *worker) reviewOne(m *membership) bool {
	s := m.session
	if s.caller.Review(m.group.topic.name) == nil || w.endStay(m, transport.CloseForbidden) {
		return true
	}
	w.endOne(s, transport.CloseForbidden)
	return false
}

// endStay ends the stay m, behind what was published before. It reports false where the client
// cannot be told of that: then nothing was done. One that is not answered yet goes on until then:
// it is looked at again.
func (w *worker) endStay(m *membership, reason transport.CloseReason) bool {
	s := m.session
	ender, can := s.Control.(transport.Ender)
	switch {
	case !can:
		return false
	case !m.answered.Load() || !s.hub.part(m): // it is leaving by itself
		return true
	}
	w.flush(m.group)
	w.part(m)
	w.say(s, ender.End(m.group.topic.name, reason))
	if over := func() { m.over(Unsubscribed) }; !s.hub.spawn(over) { // it may call what is not quick
		over()
	}
	return true
}

// renewedBytes is how much a session may be told of its credential at once, behind what it waits for.
const renewedBytes = 64 << 10

// renew does for s, whose caller has another credential, what a review does, sends last, and has s
// end when that credential does. Where stays of s are not answered yet, it waits for that: one that
// is over now is told of behind its answer, and ahead of last.
func (w *worker) renew(s *session, last []byte) {
	if s.isAnswering() {
		if s.renewing, s.renewed = true, append(s.renewed, last...); len(s.renewed) > renewedBytes {
			w.disconnect(s) // it reads nothing, and goes on asking
		}
		return
	}
	if s.slot == gone || !w.review(s) || s.ending {
		return
	}
	w.expires.remove(s)
	if ends := s.caller.Ends(); !ends.IsZero() {
		w.expires.add(s, ends)
	}
	w.say(s, last)
}

// settle does what renew has put off, if it waits for nothing any more.
func (w *worker) settle(s *session) {
	if s.renewing && !s.isAnswering() {
		last := s.renewed
		s.renewing, s.renewed = false, nil
		w.renew(s, last)
	}
}

// isAnswering reports whether s has a stay that its client was not answered for.
func (s *session) isAnswering() bool {
	for m := s.memberships; m != nil; m = m.next {
		if !m.answered.Load() {
			return true
		}
	}
	return false
}
