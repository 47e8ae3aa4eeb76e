package hub

import (
	"slices"

	"github.com/pregon/pregon/transport"
)

// groupSize is the most sessions of a group. A worker looks into its inbox after so
// many writes.
const groupSize = 128

// A group is up to groupSize subscribers of one topic that use one encoding and
// belong to one worker: the unit of fan-out.
type group struct {
	topic    *topic
	worker   *worker
	encoding transport.Encoding
	refs     int    // sessions; guarded by the directory's lock
	dropped  []byte // the gap in place of what is dropped; nil where nothing may be

	// The rest is the worker's own.
	members []member
	behind  []*catchup // those who do not hear what is live yet
	frames  []frame    // that wait to be joined and sent
	dirty   bool       // it is among the worker's groups with frames
}

// group returns a group of t's for w and e, a new one if need be, with one session
// more. The caller holds the lock.
func (t *topic) group(w *worker, e transport.Encoding) *group {
	groups := t.audience().groups
	at := len(groups) // groups of one encoding stand together
	for i, g := range groups {
		if g.encoding != e {
			continue
		}
		if g.worker == w && g.refs < groupSize {
			g.refs++
			return g
		}
		at = i
	}
	g := &group{topic: t, worker: w, encoding: e, refs: 1}
	if w.options.DropOldest {
		g.dropped = e.Gap(transport.Gap{Channel: t.name, Reason: transport.SlowClient})
	}
	t.setAudience(slices.Insert(slices.Clone(groups), at, g))
	return g
}

// drop takes one session out of g, and g out of its topic with the last one. The
// caller holds the lock.
func (g *group) drop() {
	if g.refs--; g.refs > 0 {
		return
	}
	t := g.topic
	t.setAudience(slices.DeleteFunc(slices.Clone(t.audience().groups), func(other *group) bool { return other == g }))
}
