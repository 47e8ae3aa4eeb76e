package hub

import "time"

// A worker's rest.
const (
	minWork    = 200 * time.Microsecond  // less is not rested from
	restFactor = 6                       // measured: 3 joins two thirds as much, at no less latency under load
	loneRest   = 5 * time.Millisecond    // at most, where no two messages were joined: more delays at half load for nothing
	busyRest   = 4500 * time.Microsecond // at most, where few were: takes a third off the slowest of 1,000 clients at 400 messages a second
	maxRest    = 10 * time.Millisecond   // at most: 7 costs a third of the throughput of one channel, more saves little
	narrow     = 4                       // writes that a message costs where joining messages does not pay
)

// A tally is what a worker has done since it last had nothing to do.
type tally struct {
	took       time.Duration
	messages   int
	deliveries int // of these messages
	writes     int // that they took
}

// add counts a write to so many members that carries so many messages.
func (t *tally) add(members, messages int) {
	t.messages += messages
	t.deliveries += members * messages
	t.writes += members
}

// rest returns how long to rest. At a low rate nothing is there to be sent in that
// time. At a high one a rest leaves the processor to those who publish, and to the
// clients, and what comes meanwhile is sent with the same writes: the more there is
// to do, the less a message costs, at a price of a few milliseconds.
//
// That pays where a message goes to several clients, or where messages of one
// channel were joined: then it saved at least a quarter of the writes. Elsewhere a
// rest would only delay.
func (t *tally) rest() time.Duration {
	wide := t.deliveries >= narrow*t.messages
	saved := 4*(t.deliveries-t.writes) >= t.deliveries
	switch {
	case t.took < minWork, !wide && !saved:
		return 0
	case t.deliveries == t.writes:
		return min(restFactor*t.took, loneRest)
	default:
		return min(restFactor*t.took, maxRest, max(busyRest, t.worth()))
	}
}

// worth returns how long a rest may be for what writes have carried: a quarter of the
// square of the messages of one write, in milliseconds. So a middling load
// stays with short rests, and a burst, whose writes carry ten and more, has the longest.
func (t *tally) worth() time.Duration {
	joined := time.Duration(t.deliveries / t.writes)
	return joined * joined * time.Millisecond / 4
}
