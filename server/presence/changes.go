package presence

import (
	"bytes"
	"time"

	"github.com/pregon/pregon/transport"
)

const maxNoted = 2 * transport.MaxTold // members of a channel, beyond which it is told anew

// A memory is what is remembered of a member: who it was, and whether it was there at all.
type memory struct {
	transport.Member
	there  bool
	missed bool // it was not there any more at the last turn
}

// note remembers a member of a channel that is about to change, where that is observed.
func (e *Engine) note(c *channel, subject string) {
	w := c.watch
	if w == nil {
		return
	}
	e.watched.active[c] = struct{}{}
	_, noted := w.before[subject]
	switch {
	case noted, w.counted, w.again, !w.follows():
		return
	case len(w.before) == maxNoted:
		w.before, w.again = nil, true
		return
	case w.before == nil:
		w.before = map[string]memory{}
	}
	w.before[subject] = c.actual(subject)
}

// follows reports whether somebody has been told who was in the channel at some time.
func (w *watch) follows() bool { return len(w.told) > 0 || w.listing != nil }

// actual returns what is so of a subject.
func (c *channel) actual(subject string) memory {
	if p := c.people[subject]; p != nil {
		return memory{Member: p.member(), there: true}
	}
	return memory{}
}

// known returns what those who were told everything know of a subject.
func (w *watch) known(c *channel, subject string) memory {
	if m, changed := w.before[subject]; changed {
		return m
	}
	return c.actual(subject)
}

// changes returns what those who were told everything are to be told, nil for nothing.
func (w *watch) changes(c *channel, now time.Time) *transport.Presence {
	if !w.follows() {
		w.before = nil
		return nil
	}
	if len(c.people) > transport.MaxTold && len(w.before) > 0 {
		w.countOnly(now)
	}
	if !w.counted {
		return w.byName(c)
	}
	if w.count == len(c.people) {
		return nil
	}
	w.count = len(c.people)
	return &transport.Presence{Channel: c.name, Count: w.count}
}

// countOnly has observers told how many there are and no names, until they are told all again.
func (w *watch) countOnly(now time.Time) {
	w.before = nil
	if !w.counted {
		w.counted, w.countedSince, w.count = true, now, -1
	}
}

// byName is changes by name. Who is not there any more is told of one turn later: a member that goes
// from one node to another is known by the other one then.
func (w *watch) byName(c *channel) *transport.Presence {
	p := &transport.Presence{Channel: c.name}
	for subject, was := range w.before {
		is := c.actual(subject)
		if was.there && !is.there && !was.missed {
			was.missed = true
			w.before[subject] = was
			continue
		}
		add(p, subject, was, is)
		delete(w.before, subject)
	}
	return orNil(p)
}

// add adds to p what there is to say of a subject that was one thing and is another.
func add(p *transport.Presence, subject string, was, is memory) {
	switch {
	case was.there && !is.there:
		p.Left = append(p.Left, subject)
	case is.there && (!was.there || !bytes.Equal(is.Info, was.Info)):
		is.Connections = 0 // how many there are changes without a word
		p.Joined = append(p.Joined, is.Member)
	}
}

// orNil returns p, or nil where it says nothing.
func orNil(p *transport.Presence) *transport.Presence {
	if len(p.Joined) == 0 && len(p.Left) == 0 {
		return nil
	}
	return p
}

// isLong reports whether p is better told as a list, in pages.
func isLong(p *transport.Presence) bool {
	size := 0
	for _, m := range p.Joined {
		size += len(m.Subject) + len(m.Info) + changeFrame
	}
	for _, subject := range p.Left {
		size += len(subject)
	}
	return size > listBytes
}
