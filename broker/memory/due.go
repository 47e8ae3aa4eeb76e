package memory

import (
	"container/heap"
	"time"
)

// A schedule has the pasts of an archive, the one first of which something may be too old
// first. It is a heap.
//
// A past is looked at when it is due, and then has a new time. In between it is put off
// without being moved: what is published, or drops out, only makes it due too early. So the
// time is seldom changed, however many channels there are and however different their ages.
type schedule []*past

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].due.Before(s[j].due) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].index, s[j].index = i, j
}

// Push implements heap.Interface.
func (s *schedule) Push(x any) {
	p := x.(*past)
	p.index = len(*s)
	*s = append(*s, p)
}

// Pop implements heap.Interface.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	p := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	return p
}

// next returns the past that is due first, nil for none.
func (s schedule) next() *past {
	if len(s) == 0 {
		return nil
	}
	return s[0]
}

// expiry is when the oldest message of p is too old, and where p has none, when p is.
func (p *past) expiry() time.Time {
	if len(p.kept) > 0 {
		return p.kept[0].since.Add(p.keep.MaxAge)
	}
	return p.used.Add(2 * p.life)
}

// reschedule has p be looked at when something of it expires.
func (a *archive) reschedule(p *past) {
	p.due = p.expiry()
	heap.Fix(&a.due, p.index)
}

// sweep forgets messages that are too old, and channels that were not used for so
// long that nothing of them has to be kept: a bounded number a call, so that nobody
// waits long, and far more than come.
func (a *archive) sweep(now time.Time) {
	for range sweepAtOnce {
		p := a.due.next()
		if p == nil || !now.After(p.due) {
			return
		}
		switch {
		case !now.After(p.expiry()): // it was put off
		case len(p.kept) > 0:
			a.drop(p)
		default:
			a.forget(p)
			continue
		}
		a.reschedule(p)
	}
}
