package presence

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/pregon/pregon/transport"
)

// A channel is one that has members, or observers.
type channel struct {
	name   string
	bucket int
	people map[string]*person // by subject

	sorted []*person // in the order of their subjects; some may have gone
	fresh  []*person // not among sorted yet; some may have gone
	stale  bool      // some of sorted have gone

	watch *watch // nil where nobody observes it
}

// A person is a subject in a channel, as one or several nodes have it.
type person struct {
	subject string
	entries []entry // one for each of these nodes
}

// An entry is what one node has of a person.
type entry struct {
	node *node
	value
}

// A value is what a node knows of a member.
type value struct {
	info        json.RawMessage // compact; not to be changed
	since       int64           // when the newest connection came, in ms since 1970
	connections int             // at least 1
}

// of returns what n has of p, nil where it has nothing. p may be nil.
func (p *person) of(n *node) *value {
	if p == nil {
		return nil
	}
	for i := range p.entries {
		if p.entries[i].node == n {
			return &p.entries[i].value
		}
	}
	return nil
}

// put makes v what n has of a subject, nil for nothing.
func (c *channel) put(n *node, subject string, v *value) {
	p := c.person(subject)
	i := slices.IndexFunc(p.entries, func(e entry) bool { return e.node == n })
	switch {
	case v == nil:
		p.entries = slices.DeleteFunc(p.entries, func(e entry) bool { return e.node == n })
	case i >= 0:
		p.entries[i].value = *v
	default:
		p.entries = append(p.entries, entry{n, *v})
	}
	if p.gone() {
		c.forget(p)
	}
}

// member returns who p is: with the info of the connection that came last, as far as the clocks of
// the nodes agree, and the same on all nodes in any case.
func (p *person) member() transport.Member {
	m, newest := transport.Member{Subject: p.subject}, &p.entries[0]
	for i := range p.entries {
		e := &p.entries[i]
		m.Connections += e.connections
		if e.since > newest.since || e.since == newest.since && e.node.id > newest.node.id {
			newest = e
		}
	}
	m.Info = newest.info
	return m
}

// person returns the one of that subject, a new one if need be.
func (c *channel) person(subject string) *person {
	p := c.people[subject]
	if p == nil {
		p = &person{subject: strings.Clone(subject)}
		c.people[p.subject] = p
		c.fresh = append(c.fresh, p)
	}
	return p
}

// forget takes p, who has no entries, out of c.
func (c *channel) forget(p *person) {
	delete(c.people, p.subject)
	c.stale = true
	if len(c.fresh) > 2*len(c.people)+64 { // nobody asks, and many come and go
		c.fresh = slices.DeleteFunc(c.fresh, (*person).gone)
	}
}

func (p *person) gone() bool { return len(p.entries) == 0 }

// list returns the people of c in the order of their subjects. It is not to be changed, and good
// until c changes. Its cost is that of a merge with those who have come since the last call.
func (c *channel) list() []*person {
	if c.stale {
		c.sorted = slices.DeleteFunc(c.sorted, (*person).gone)
		c.fresh = slices.DeleteFunc(c.fresh, (*person).gone)
		c.stale = false
	}
	if len(c.fresh) > 0 {
		slices.SortFunc(c.fresh, bySubject)
		c.sorted = merge(c.sorted, c.fresh)
		c.fresh = nil
	}
	return c.sorted
}

func bySubject(a, b *person) int { return strings.Compare(a.subject, b.subject) }

// merge returns the elements of two lists in their order.
func merge(a, b []*person) []*person {
	all := make([]*person, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if bySubject(a[0], b[0]) < 0 {
			all, a = append(all, a[0]), a[1:]
		} else {
			all, b = append(all, b[0]), b[1:]
		}
	}
	return append(append(all, a...), b...)
}

// behind returns those of list behind a subject.
func behind(list []*person, subject string) []*person {
	i, found := slices.BinarySearchFunc(list, subject, func(p *person, s string) int { return strings.Compare(p.subject, s) })
	if found {
		i++
	}
	return list[i:]
}
