package hub

import "github.com/pregon/pregon/transport"

// An audience is who is to hear a topic. It is not modified.
type audience struct {
	groups []*group // those of one encoding stand together
	last   []bool   // of each, whether no later one is of the same worker
}

var nobody = &audience{}

// audience returns who is to hear t.
func (t *topic) audience() *audience {
	if a := t.heard.Load(); a != nil {
		return a
	}
	return nobody
}

// setAudience is called with the directory's lock.
func (t *topic) setAudience(groups []*group) {
	a, later := &audience{groups: groups, last: make([]bool, len(groups))}, map[*worker]bool{}
	for i := len(groups) - 1; i >= 0; i-- {
		w := groups[i].worker
		a.last[i] = !later[w]
		later[w] = true
	}
	t.heard.Store(a)
}

// fanOut posts one entry a group, with f and its bytes, and encodes once an encoding. Of a message each
// worker gets with its last group alone when it was received.
func (a *audience) fanOut(k kind, f frame, all deliveries, encode func(transport.Encoding) []byte) {
	received := f.received
	for i, g := range a.groups {
		if i == 0 || g.encoding != a.groups[i-1].encoding {
			f.bytes = encode(g.encoding)
		}
		f.delivery, f.received = all[g.worker], 0
		if a.last[i] {
			f.received = received
		}
		g.worker.push(entry{kind: k, group: g, frame: f})
	}
}
