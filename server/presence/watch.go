package presence

import (
	"time"

	"github.com/pregon/pregon/transport"
)

const (
	pageBytes   = 64 << 10      // of a page, about
	listBytes   = 4 * pageBytes // that an observer is sent at most every tellEvery
	countedTime = 5 * time.Second
)

// An observer is told who is in a channel.
type observer struct{ tell func(*Event) }

// A watch is what the observers of a channel have been told.
type watch struct {
	told     map[*observer]struct{} // all, and every change up to the last turn
	waiting  []*observer            // to be told all
	listing  *listing               // under way; nil for none
	before   map[string]memory      // those that have changed, as told knows them
	again    bool                   // told are to be told all again
	holed    bool                   // likewise, once the bucket is not pending any more
	complete bool                   // what was told

	counted      bool      // told are told how many there are, and not who
	count        int       // what they were told
	countedSince time.Time // since when counted
}

// watched are the channels that are observed.
type watched struct {
	active   map[*channel]struct{} // in the next turn something may be to be told
	all      map[*channel]struct{}
	complete [buckets]bool // as of the last turn
}

func newWatched() watched {
	return watched{active: map[*channel]struct{}{}, all: map[*channel]struct{}{}}
}

// Observe has tell called with who is in a channel: Members first, in pages, and then each
// Presence; after a hole, and where the list has become complete or is not any more, Members again. It
// does so at most every 250 ms, from one goroutine, and must not wait. It may be called once more
// when stop has returned.
func (e *Engine) Observe(channel string, tell func(*Event)) (stop func()) {
	o := &observer{tell}
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.open(channel)
	if c.watch == nil {
		c.watch = &watch{told: map[*observer]struct{}{}}
		e.watched.all[c] = struct{}{}
	}
	c.watch.waiting = append(c.watch.waiting, o)
	e.watched.active[c] = struct{}{}
	return func() { e.unobserve(c, o) }
}

func (e *Engine) unobserve(c *channel, o *observer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w := c.watch
	delete(w.told, o)
	w.waiting = without(w.waiting, o)
	if w.listing != nil {
		w.listing.to = without(w.listing.to, o)
		if len(w.listing.to) == 0 {
			w.listing = nil
		}
	}
	if len(w.told) == 0 && len(w.waiting) == 0 && w.listing == nil {
		c.watch = nil
		delete(e.watched.all, c)
		delete(e.watched.active, c)
		e.drop(c)
	}
}

// without returns observers but for one, in any order.
func without(observers []*observer, o *observer) []*observer {
	for i := range observers {
		if observers[i] == o {
			last := len(observers) - 1
			observers[i], observers[last] = observers[last], nil
			return observers[:last]
		}
	}
	return observers
}

// holed notes that a channel has changed in a way that only a look at the whole has shown.
func (e *Engine) holed(name string) {
	if c := e.channel(name); c != nil && c.watch != nil {
		c.watch.holed = true
	}
}

// A notice is an Event for one observer.
type notice struct {
	*observer
	event *Event
}

// news returns what is to be told now.
func (e *Engine) news(now time.Time) (all []notice) {
	e.lookWhole(now)
	for c := range e.watched.active {
		all = e.newsOf(all, c, now)
		if c.watch.isQuiet() {
			delete(e.watched.active, c)
		}
	}
	return all
}

// lookWhole looks which lists are complete now.
func (e *Engine) lookWhole(now time.Time) {
	before := e.watched.complete
	for b := range buckets {
		e.watched.complete[b] = !e.isIncomplete(b, now)
	}
	if before == e.watched.complete {
		return
	}
	for c := range e.watched.all {
		e.watched.active[c] = struct{}{}
	}
}

// isQuiet reports whether nothing is to be told before something changes.
func (w *watch) isQuiet() bool {
	return w.listing == nil && len(w.waiting) == 0 && len(w.before) == 0 && !w.holed && !w.counted
}

// newsOf appends what is to be told of c.
func (e *Engine) newsOf(all []notice, c *channel, now time.Time) []notice {
	w := c.watch
	if complete := e.watched.complete[c.bucket]; complete != w.complete {
		w.complete, w.again = complete, true
	}
	if w.holed && (w.again || !e.isPending(c.bucket)) {
		w.holed, w.again = false, true
	}
	w.again = w.again || w.byNameAgain(c, now)
	if !w.again && !w.holed {
		all = w.update(all, c, now)
	}
	if w.again {
		w.restart()
	}
	return w.list(all, c, now)
}

// update appends what has changed for those who were told everything before, or has them told
// everything again.
func (w *watch) update(all []notice, c *channel, now time.Time) []notice {
	p := w.changes(c, now)
	switch {
	case p == nil:
		return all
	case isLong(p):
		w.again = true
		return all
	}
	event := &Event{Presence: p}
	for o := range w.told {
		all = append(all, notice{o, event})
	}
	return all
}

// byNameAgain reports whether there are so few members that changes can be told by name again.
func (w *watch) byNameAgain(c *channel, now time.Time) bool {
	n := len(c.people)
	return w.counted && n <= transport.MaxTold && (n == 0 || now.Sub(w.countedSince) >= countedTime)
}

// restart has all who were told everything be told it again.
func (w *watch) restart() {
	for o := range w.told {
		w.waiting = append(w.waiting, o)
	}
	clear(w.told)
	w.before, w.counted, w.again = nil, false, false
	if w.listing != nil {
		w.listing.again = true
	}
}
