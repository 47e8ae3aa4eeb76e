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
		if s := sessions[r.left]; !s.mayStay() {
			w.endOne(s, transport.CloseForbidden)
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

// mayStay reports whether s may go on as it is. It is called by the worker. A protocol that
// can tell its client of the end of one channel would have that ended alone: here is where
// it is known which.
func (s *session) mayStay() bool {
	if !s.caller.IsKnown() {
		return false
	}
	for m := s.memberships; m != nil; m = m.next {
		if s.caller.Review(m.group.topic.name) != nil {
			return false
		}
	}
	return true
}
