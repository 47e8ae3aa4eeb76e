package presence

import (
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
	again   bool               // what was told is not to be relied on: see watch.restart
}

// list appends the next pages of the listing that is under way, or begins one.
func (w *watch) list(all []notice, c *channel) []notice {
	if w.listing == nil {
		if len(w.waiting) == 0 {
			return all
		}
		w.listing = &listing{to: w.waiting, all: membersOf(c.list()), partial: !w.complete}
		w.waiting = nil
	}
	l := w.listing
	for left := listBytes; left > 0; {
		page, size := l.page(c.name)
		all, left = l.say(all, &Event{Members: page}), left-size
		if !page.More {
			w.listing = nil
			return w.arrive(all, l, c)
		}
	}
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
func (w *watch) arrive(all []notice, l *listing, c *channel) []notice {
	p := w.since(l, c)
	switch {
	case l.again, p != nil && isLong(p):
		w.waiting = append(w.waiting, l.to...)
		return all
	case p != nil:
		all = l.say(all, &Event{Presence: p})
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
	from := make(map[string]memory, len(l.all))
	for _, m := range l.all {
		from[m.Subject] = memory{m, true}
	}
	for subject := range c.people {
		if _, known := from[subject]; !known {
			from[subject] = memory{}
		}
	}
	return c.difference(from)
}
