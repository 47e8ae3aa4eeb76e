package presence

import (
	"math/rand/v2"
	"time"
)

const (
	answerTime = 2 * time.Second        // in which a node is to tell what it was asked for
	askSpread  = 250 * time.Millisecond // in which nodes that miss the same ask, unless another has
	askAgain   = time.Second
	askSeldom  = 10 * time.Second // after maxAsks
	maxAsks    = 5
)

// differs is a bucket of another node that is not known here as the node has it.
type differs struct {
	since time.Time // when that was seen; zero where it is known
	askAt time.Time // when to ask
	asked int       // how often it was
}

// compare looks at what n says it has told. What it says it has not told yet comes behind.
func (e *Engine) compare(n *node, b *beat, now time.Time) {
	e.compareConfig(n, b.Config)
	if b.Leaving {
		n.gone = now.Add(grace)
		return
	}
	for i := range n.differs {
		d := &n.differs[i]
		switch {
		case b.digest(i) == n.digests[i]:
			*d = differs{}
		case d.since.IsZero():
			*d = differs{since: now, askAt: now.Add(rand.N(askSpread))}
		}
	}
}

// compareConfig says it where two nodes go by different configurations.
func (e *Engine) compareConfig(n *node, config string) {
	before := n.differently
	n.differently = config != "" && config != e.options.Config()
	if n.differently && !before {
		e.log.Warn("presence: another node has another configuration, which decides differently who may what", "node", n.id)
	}
}

// questions returns what to ask other nodes for now.
func (e *Engine) questions(now time.Time) map[string]uint64 {
	var ask map[string]uint64
	for id, n := range e.others {
		bits := n.questions(now)
		if bits == 0 {
			continue
		}
		if ask == nil {
			ask = map[string]uint64{}
		}
		ask[id] = bits
	}
	return ask
}

func (n *node) questions(now time.Time) (bits uint64) {
	for i := range n.differs {
		d := &n.differs[i]
		if d.since.IsZero() || now.Before(d.askAt) {
			continue
		}
		d.wasAsked(now)
		bits |= 1 << i
	}
	return bits
}

// wasAsked notes that this node or another has asked.
func (d *differs) wasAsked(now time.Time) {
	d.asked++
	d.askAt = now.Add(askAgain + rand.N(askSpread))
	if d.asked > maxAsks {
		d.askAt = now.Add(askSeldom)
	}
}

// answer notes what another node has asked for: of this one, or of a third, which tells all.
func (e *Engine) answer(ask map[string]uint64, now time.Time) {
	for id, bits := range ask {
		n := e.others[id]
		for b := range buckets {
			switch {
			case bits&(1<<b) == 0:
			case id == e.own.id:
				e.outgoing.retold[b].ask = true
			case n != nil && !n.differs[b].since.IsZero():
				n.differs[b].wasAsked(now)
			}
		}
	}
}

// isPending reports whether a bucket is being repaired.
func (e *Engine) isPending(bucket int) bool {
	for _, n := range e.others {
		if n.gone.IsZero() && !n.differs[bucket].since.IsZero() {
			return true
		}
	}
	return false
}
