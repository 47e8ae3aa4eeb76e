package hub

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// A topic is a channel that somebody on this node wants, or has wanted lately.
// All of it is guarded by the hub's lock.
type topic struct {
	hub    *Hub
	name   string
	refs   int       // sessions that want it
	unused time.Time // since when refs is 0
	there  bool      // the feed carries it
	stale  bool      // it is not there any more, but the broker may still send it
	holed  bool      // it was lost with a feed, and its subscribers are to be told
	later  time.Time // before which the broker is not asked again, as it has just refused

	confirmed *confirmation // of the newest attempt to have it there

	groups atomic.Pointer[[]*group] // copied on write under the hub's lock; read without it
	listen func(broker.Message)     // for the hub's own topics

	track *backfill.Channel // nil where there is no history; it delivers to the topic

	watchers map[chan struct{}]struct{} // see Watch
	watched  atomic.Bool                // there are some
}

// A confirmation is the broker's answer that sessions wait for. err is set before
// done is closed, where the broker will not have the topic.
type confirmation struct {
	done chan struct{}
	err  error
}

func newConfirmation() *confirmation { return &confirmation{done: make(chan struct{})} }

// groupSize is the most sessions of a group. A worker looks into its inbox after so
// many writes.
const groupSize = 128

// A group is up to groupSize subscribers of one topic that use one encoding and
// belong to one worker: the unit of fan-out.
type group struct {
	topic    *topic
	worker   *worker
	encoding transport.Encoding
	refs     int    // sessions; guarded by the hub's lock
	dropped  []byte // the gap in place of what is dropped; nil where nothing may be

	// The rest is the worker's own.
	members []member
	behind  []*catchup // those who do not hear what is live yet
	frames  []frame    // that wait to be joined and sent
	dirty   bool       // it is among the worker's groups with frames
}

// topic returns the topic of that name, a new one if need be. The caller holds
// the lock.
func (h *Hub) topic(name string) *topic {
	t, ok := h.topics[name]
	if !ok {
		name = strings.Clone(name) // it may be a part of a whole request
		t = &topic{hub: h, name: name, confirmed: newConfirmation()}
		if h.history != nil {
			t.track = h.filler.Channel(name, t)
		}
		h.topics[name] = t
		h.names.Store(name, t)
	}
	return t
}

// acquire makes one more session want t. The caller holds the lock.
func (h *Hub) acquire(t *topic) {
	t.refs++
	if t.there {
		return
	}
	t.await() // it may have been refused; permissions may have changed
	t.later = time.Time{}
	h.touch(t)
}

// await makes those who want t wait for the next answer. The caller holds the
// lock.
func (t *topic) await() {
	select {
	case <-t.confirmed.done:
		t.confirmed = newConfirmation()
	default: // nobody has had an answer to the last question
	}
}

// release makes one session less want t. The caller holds the lock.
func (h *Hub) release(t *topic) {
	if t.refs--; t.refs == 0 {
		t.unused = time.Now()
		h.touch(t)
	}
}

// touch has the reconciler look at t. The caller holds the lock.
func (h *Hub) touch(t *topic) {
	h.changed[t] = struct{}{}
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// group returns a group of t's for w and e, a new one if need be, with one session
// more. The caller holds the lock.
func (t *topic) group(w *worker, e transport.Encoding) *group {
	groups := t.audience()
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
	t.setAudience(slices.DeleteFunc(slices.Clone(t.audience()), func(other *group) bool { return other == g }))
}

// audience returns who is to hear t. It is not to be modified.
func (t *topic) audience() []*group {
	if groups := t.groups.Load(); groups != nil {
		return *groups
	}
	return nil
}

// setAudience is called with the hub's lock.
func (t *topic) setAudience(groups []*group) { t.groups.Store(&groups) }
