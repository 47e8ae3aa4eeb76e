package hub

import "iter"

// wheelSlots is how finely pings are spread over the ping interval.
const wheelSlots = 32

// gone is the slot of a session that is in no slot.
const gone = -1

// A wheel is a timer wheel (Varghese and Lauck, 1987) of one turn: each session
// stands in one slot, and each tick comes to the next slot. It makes one timer
// serve any number of connections.
type wheel struct {
	slots [wheelSlots][]*session
	hand  int // the slot that the last tick came to
}

// add puts s where it is reached after a whole turn.
func (w *wheel) add(s *session) {
	s.slot, s.index = int32(w.hand), int32(len(w.slots[w.hand]))
	w.slots[w.hand] = append(w.slots[w.hand], s)
}

// remove takes s out. Removing again does nothing.
func (w *wheel) remove(s *session) {
	if s.slot == gone {
		return
	}
	slot := w.slots[s.slot]
	last := len(slot) - 1
	slot[s.index] = slot[last]
	slot[s.index].index = s.index
	slot[last] = nil
	w.slots[s.slot] = slot[:last]
	s.slot = gone
}

// turn moves on by one slot and returns the sessions there.
func (w *wheel) turn() []*session {
	w.hand = (w.hand + 1) % wheelSlots
	return w.slots[w.hand]
}

// all ranges over every session.
func (w *wheel) all() iter.Seq[*session] {
	return func(yield func(*session) bool) {
		for _, slot := range w.slots {
			for _, s := range slot {
				if !yield(s) {
					return
				}
			}
		}
	}
}
