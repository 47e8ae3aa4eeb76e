package backfill

import (
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A todo is what a fill does next with what waits.
type todo int

const (
	nothing  todo = iota // it is over
	readOn               // there is a hole before what waits, which may be filled by now
	hand                 // a message is due
	doubt                // a message cannot be believed
	tellAnew             // the channel was empty, and its history has begun anew
)

// drain delivers what waits, as far as there is no hole before it that may be filled by now, and
// reports whether that was all. Then the fill is over. Where the history cannot be read, what
// waits is trusted: nothing else is to be had.
//
// A message that jumps, and that the history does not have though it was read since, is not
// believed: the broker has lost it, or somebody has made its position up. It is dropped behind
// a gap. Were it delivered, what is honest and before it could not be any more.
func (f *fill) drain(trusting bool) (over bool) {
	for {
		switch m, do := f.next(trusting); do {
		case nothing:
			return true
		case readOn:
			return false
		case hand:
			f.accept(m)
		case doubt:
			f.miss(transport.Gap{Channel: f.name, Reason: transport.Missing, From: f.last})
		case tellAnew:
			f.sink.Gap(transport.Gap{Channel: f.name, Reason: transport.NewEpoch})
		}
	}
}

// next takes what is to be done next. That the fill is over is noted while nothing can come to
// wait.
func (f *fill) next(trusting bool) (m broker.Message, do todo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, waits := f.head()
	switch {
	case f.again:
		return m, readOn
	case !waits:
		return m, f.finish()
	case trusting, f.step(m) != jumps:
		do = hand
	case f.backlog.read == 0: // it came after the history was read
		return m, readOn
	default:
		do = doubt
	}
	f.take()
	return m, do
}

// finish ends the fill, unless something is to be told first. The caller holds the lock.
func (f *fill) finish() todo {
	since := f.emptied
	f.emptied = time.Time{}
	if !since.IsZero() && f.renew(since) {
		return tellAnew
	}
	f.backlog = backlog{}
	f.filling = false
	return nothing
}

// giveUp tells that what is missing will not come, and delivers what waits. It reports whether
// that was all.
func (f *fill) giveUp() (over bool) {
	f.mu.Lock()
	if f.unsettled != "" { // it is not known, so it is taken to have lost some
		f.unsettled, f.markedAt, f.marked = "", f.last, true
		f.filler.marks.add(f.name)
	}
	f.again, f.blind = false, true // what is lost from now on is worth another try
	f.mu.Unlock()
	f.miss(transport.Gap{Channel: f.name, Reason: f.reason, From: f.last})
	return f.drain(true)
}
