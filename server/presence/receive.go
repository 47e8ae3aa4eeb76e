package presence

import "time"

// maxRemote is how many members of other nodes are known here at most, all channels together. What
// is beyond is not taken, and the lists concerned are not complete.
const maxRemote = 1 << 20

// hear reads what has come from the bus.
func (e *Engine) hear(messages [][]byte, now time.Time) {
	for _, data := range messages {
		m, err := parse(data)
		e.mu.Lock()
		switch {
		case err != nil:
			e.counts.rejected++
		case m.From == e.own.id:
			e.link.back(m.Sequence, e.outgoing.sequence, now)
		default:
			e.apply(m, now)
		}
		e.mu.Unlock()
	}
}

// apply takes in what another node says. What is not newer than all that it has said before changes
// nothing: it came twice, or too late.
func (e *Engine) apply(m message, now time.Time) {
	n := e.others[m.From]
	if n == nil {
		if n = e.admit(m, now); n == nil {
			return
		}
	}
	if m.Sequence <= n.last {
		return
	}
	n.last, n.heard = m.Sequence, now
	switch {
	case m.Beat != nil:
		e.compare(n, m.Beat, now)
	case m.Part != nil:
		e.replace(n, m.Part)
	case len(m.Ask) > 0:
		e.answer(m.Ask, now)
	default:
		for _, c := range m.Changes {
			e.take(n, c)
		}
	}
}

// admit makes a node known that is not, unless it is one that was given up and says nothing new, or
// one too many.
func (e *Engine) admit(m message, now time.Time) *node {
	if m.Sequence <= e.dead.last(m.From) {
		return nil
	}
	if len(e.others) >= maxNodes-1 {
		e.refuse(now)
		return nil
	}
	n := &node{id: m.From}
	e.others[n.id] = n
	return n
}

// refuse notes that there is a node which is one too many.
func (e *Engine) refuse(now time.Time) {
	if now.Sub(e.link.refused) > time.Minute {
		e.log.Error("presence: there are more nodes than can tell each other who is where; the lists of members are not complete", "most", maxNodes)
	}
	e.link.refused = now
}

// take takes in a change.
func (e *Engine) take(n *node, c change) {
	if c.Connections == 0 {
		e.set(n, c.key(), nil)
		return
	}
	v := &value{info: c.Info, since: c.Since, connections: c.Connections}
	if e.remote >= maxRemote && e.valueOf(n, c.key()) == nil {
		return
	}
	e.set(n, c.key(), v)
}

// replace makes what n has between the ends of p what p says. Observers are told of the whole
// lists, once these are right.
func (e *Engine) replace(n *node, p *part) {
	said := make(map[key]change, len(p.Members))
	for _, c := range p.Members {
		said[c.key()] = c
	}
	var gone []key
	for name, c := range e.channels[p.Bucket] {
		for subject, person := range c.people {
			k := key{name, subject}
			if _, is := said[k]; !is && person.of(n) != nil && p.covers(k) {
				gone = append(gone, k)
			}
		}
	}
	for _, k := range gone {
		e.set(n, k, nil)
		e.holed(k.Channel)
	}
	for k, c := range said {
		if v := e.valueOf(n, k); v == nil || !v.same(&value{c.Info, c.Since, c.Connections}) {
			e.take(n, c)
			e.holed(k.Channel)
		}
	}
}

// remove forgets n and its members.
func (e *Engine) remove(n *node) {
	delete(e.others, n.id)
	e.dead.add(n.id, n.last)
	var gone []key
	for b := range e.channels {
		for name, c := range e.channels[b] {
			for subject, person := range c.people {
				if person.of(n) != nil {
					gone = append(gone, key{name, subject})
				}
			}
		}
	}
	for _, k := range gone {
		e.set(n, k, nil)
	}
}

// A graveyard remembers nodes that were forgotten, so that what they said before, if it is repeated,
// does not bring them back.
type graveyard struct {
	sequences map[string]uint64
	order     []string
}

const maxDead = 1024

func (g *graveyard) add(id string, last uint64) {
	if g.sequences == nil {
		g.sequences = map[string]uint64{}
	}
	if _, known := g.sequences[id]; !known {
		if len(g.order) == maxDead {
			delete(g.sequences, g.order[0])
			g.order = g.order[1:]
		}
		g.order = append(g.order, id)
	}
	g.sequences[id] = last
}

// last returns the sequence of the last message of a node, 0 where it is not known.
func (g *graveyard) last(id string) uint64 { return g.sequences[id] }
