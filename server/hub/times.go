package hub

import (
	"sync/atomic"
	"time"
)

// timeBounds are the upper bounds of the ranges in which the times of deliveries are counted.
var timeBounds = [...]time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second,
}

// A moment is a time by a hub's own clock, which does not jump. Zero stands for none.
type moment time.Duration

// A clock says what moment it is, and always zero where nobody wants to know.
type clock struct{ began time.Time }

func (c clock) now() moment { return c.at(time.Now()) }

// at returns the moment of a time of this process.
func (c clock) at(now time.Time) moment {
	if c.began.IsZero() {
		return 0
	}
	return moment(now.Sub(c.began)) + 1
}

// times are how long it took from when messages came until a worker had handed them to all of its
// clients. They are observed by the worker alone, so that no two of them share a counter.
type times struct {
	clock  clock
	unread []moment // when messages came that were handed on since the clock was read last

	count [len(timeBounds) + 1]atomic.Uint64 // by the first of timeBounds that is not exceeded, if any
	sum   atomic.Int64                       // nanoseconds
}

// note notes that all clients were handed what came at those moments.
func (t *times) note(frames []frame) {
	if t.clock.began.IsZero() {
		return
	}
	for i := range frames {
		if at := frames[i].received; at != 0 {
			t.unread = append(t.unread, at)
		}
	}
}

// observe reads the clock once for all that was noted.
func (t *times) observe() {
	if len(t.unread) == 0 {
		return
	}
	now := t.clock.now()
	for _, at := range t.unread {
		t.add(time.Duration(now - at))
	}
	t.unread = t.unread[:0]
}

func (t *times) add(took time.Duration) {
	i := 0
	for i < len(timeBounds) && took > timeBounds[i] {
		i++
	}
	t.count[i].Add(1)
	t.sum.Add(int64(took))
}

// Times are how long deliveries took: from when a message came from the feed, and what was missing
// before it was filled in, until one worker had handed it to all of its clients. A message counts once
// for each worker that has clients for it.
type Times struct {
	Count uint64
	Sum   time.Duration
	Under map[time.Duration]uint64 // how many took no longer than that
}

// DeliveryTimes returns how long deliveries took, nothing without Options.Timed.
func (h *Hub) DeliveryTimes() Times {
	all := Times{Under: make(map[time.Duration]uint64, len(timeBounds))}
	for i := range len(timeBounds) + 1 {
		for _, w := range h.workers {
			all.Count += w.times.count[i].Load()
		}
		if i < len(timeBounds) {
			all.Under[timeBounds[i]] = all.Count
		}
	}
	for _, w := range h.workers {
		all.Sum += time.Duration(w.times.sum.Load())
	}
	return all
}
