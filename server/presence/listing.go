package presence

import (
	"slices"
	"strings"
	"time"

	"github.com/pregon/pregon/transport"
)

// A listing is how observers are told all members, in pages: so much every turn that a list which is
// long does not fill the queues of its readers. Others wait for the next one, so a channel
// has one copy of its list at most.
type listing struct {
	to      []*observer
	all     []transport.Member // as of when it began
	next    int                // the first that was not told
	partial bool               // all may not be all
	old     bool               // something may have changed since it began
	again   bool               // what was told is not to be relied on: see watch.restart
}

// list appends the next pages of the listing that is under way, or begins one.
func (w *watch) list(all []notice, c *channel, now time.Time) []notice {
	if w.listing == nil {
		if len(w.waiting) == 0 {
			return all
		}
		w.listing = &listing{to: w.waiting, all: w.everybody(c), partial: !w.complete}
		w.waiting = nil
	}
	l := w.listing
	for left := listBytes; left > 0; {
		page, size := l.page(c.name)
		all, left = l.say(all, &Event{Members: page}), left-size
		if !page.More {
			w.listing = nil
			return w.arrive(all, l, c, now)
		}
	}
	l.old = true
	return all
}

// say appends an Event for all to whom l goes.
func (l *listing) say(all []notice, v *Event) []notice {
	for _, o := range l.to {
		all = append(all, notice{o, v})
	}
	return all
}

// page returns the next page, and how long it is, about.
func (l *listing) page(channel string) (page *transport.Members, size int) {
	end := l.next
	for end < len(l.all) && end-l.next < transport.MaxMembers && size < pageBytes {
		size += len(l.all[end].Subject) + len(l.all[end].Info) + changeFrame
		end++
	}
	page = &transport.Members{Channel: channel, Count: len(l.all), Members: l.all[l.next:end], More: end < len(l.all), Incomplete: l.partial}
	l.next = end
	return page, size
}

// arrive makes those whom l has told all what the others are who were: it tells what has changed
// meanwhile.
func (w *watch) arrive(all []notice, l *listing, c *channel, now time.Time) []notice {
	var p *transport.Presence
	if l.old {
		p = w.since(l, c)
	}
	switch {
	case l.again, p != nil && isLong(p):
		w.waiting = append(w.waiting, l.to...)
		return all
	case p != nil:
		all = l.say(all, &Event{Presence: p})
	}
	if len(c.people) > transport.MaxTold {
		w.countOnly(now)
	}
	if len(w.told) == 0 {
		w.count = len(c.people)
	}
	for _, o := range l.to {
		w.told[o] = struct{}{}
	}
	return all
}

// since returns what has changed since l began, nil for nothing.
func (w *watch) since(l *listing, c *channel) *transport.Presence {
	if w.counted || len(c.people) > transport.MaxTold {
		if len(c.people) == len(l.all) {
			return nil
		}
		return &transport.Presence{Channel: c.name, Count: len(c.people)}
	}
	p := &transport.Presence{Channel: c.name}
	listed := make(map[string]struct{}, len(l.all))
	for _, m := range l.all {
		listed[m.Subject] = struct{}{}
		add(p, m.Subject, memory{Member: m, there: true}, w.known(c, m.Subject))
	}
	for _, m := range w.everybody(c) {
		if _, is := listed[m.Subject]; !is {
			add(p, m.Subject, memory{}, memory{Member: m, there: true})
		}
	}
	return orNil(p)
}

// everybody returns all that those who were told everything know of, in the order of their subjects.
func (w *watch) everybody(c *channel) []transport.Member {
	all := membersOf(c.list())
	n := len(all)
	for subject, m := range w.before {
		if _, is := c.people[subject]; m.there && !is {
			all = append(all, m.Member)
		}
	}
	if len(all) > n {
		slices.SortFunc(all, func(a, b transport.Member) int { return strings.Compare(a.Subject, b.Subject) })
	}
	return all
}
