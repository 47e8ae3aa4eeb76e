package hub

import (
	"container/heap"
	"time"

	"github.com/pregon/pregon/transport"
)

// expiryStep is how many sessions are ended before a worker looks for what else there is to
// do, where many expire together.
const expiryStep = 64

// An expiry ends sessions at their times. It belongs to a worker, which waits for the
// earliest of them: so that a session ends costs no timer and no goroutine of its own, and
// those without an end cost nothing.
type expiry struct {
	byTime deadlines
	next   <-chan time.Time // when to call step; nil where nothing ends
}

// A deadline is when a session ends.
type deadline struct {
	session *session
	at      time.Time
}

// add has s end at a time.
func (x *expiry) add(s *session, at time.Time) {
	heap.Push(&x.byTime, deadline{s, at})
	if s.due == 0 {
		x.arm()
	}
}

// remove forgets when s ends. Removing again does nothing.
func (x *expiry) remove(s *session) {
	if s.due != gone {
		heap.Remove(&x.byTime, int(s.due))
	}
}

// step ends those whose time has come, some at once.
func (x *expiry) step(end func(*session, transport.CloseReason)) {
	for now, n := time.Now(), 0; n < expiryStep && len(x.byTime) > 0 && !x.byTime[0].at.After(now); n++ {
		end(heap.Pop(&x.byTime).(deadline).session, transport.CloseExpired)
	}
	x.arm()
}

func (x *expiry) arm() {
	x.next = nil
	if len(x.byTime) > 0 {
		x.next = time.After(time.Until(x.byTime[0].at))
	}
}

// deadlines are a heap, in which each session knows where it stands.
type deadlines []deadline

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].at.Before(d[j].at) }

func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].session.due, d[j].session.due = int32(i), int32(j)
}

func (d *deadlines) Push(x any) {
	added := x.(deadline)
	added.session.due = int32(len(*d))
	*d = append(*d, added)
}

func (d *deadlines) Pop() any {
	last := len(*d) - 1
	taken := (*d)[last]
	(*d)[last] = deadline{}
	*d = (*d)[:last]
	taken.session.due = gone
	return taken
}
