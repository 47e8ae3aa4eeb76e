package hub

import (
	"strings"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// A topic is a channel that somebody on this node wants, or has wanted lately.
// All of it is guarded by the lock of the interest.
type topic struct {
	interest *interest
	name     string
	refs     int       // sessions that want it
	unused   time.Time // since when refs is 0
	there    bool      // the feed carries it
	stale    bool      // it is not there any more, but the broker may still send it
	holed    bool      // it was lost with a feed, and its subscribers are to be told
	later    time.Time // before which the broker is not asked again, as it has just refused

	confirmed *confirmation // of the newest attempt to have it there

	groups atomic.Pointer[[]*group] // copied on write under the interest's lock; read without it
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

// want makes one more of those within the hub that are no session want a channel.
func (i *interest) want(name string) *topic {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.topic(name)
	i.acquire(t)
	return t
}

// listen wants a channel of the hub's own, which has no history.
func (i *interest) listen(name string, hear func(broker.Message)) *topic {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.topic(name)
	t.listen, t.track = hear, nil
	i.acquire(t)
	return t
}

// unwant takes want back.
func (i *interest) unwant(t *topic) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.release(t)
}

// join makes one more session want a channel, and returns the group that it is to be in.
func (i *interest) join(name string, w *worker, e transport.Encoding) *group {
	i.mu.Lock()
	defer i.mu.Unlock()
	t := i.topic(name)
	i.acquire(t)
	return t.group(w, e)
}

// leave takes join back.
func (i *interest) leave(g *group) {
	i.mu.Lock()
	defer i.mu.Unlock()
	g.drop()
	i.release(g.topic)
}

// known returns the topic of that name, nil for none. It takes no lock.
func (i *interest) known(channel string) *topic {
	t, ok := i.names.Load(channel)
	if !ok {
		return nil
	}
	return t.(*topic)
}

// topic returns the topic of that name, a new one if need be. The caller holds
// the lock.
func (i *interest) topic(name string) *topic {
	t, ok := i.topics[name]
	if !ok {
		name = strings.Clone(name) // it may be a part of a whole request
		t = &topic{interest: i, name: name, confirmed: newConfirmation()}
		if i.filler != nil {
			t.track = i.filler.Channel(name, t)
		}
		i.topics[name] = t
		i.names.Store(name, t)
	}
	return t
}

// acquire makes one more session want t. The caller holds the lock.
func (i *interest) acquire(t *topic) {
	t.refs++
	if t.there {
		return
	}
	t.await() // it may have been refused; permissions may have changed
	t.later = time.Time{}
	i.touch(t)
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
func (i *interest) release(t *topic) {
	if t.refs--; t.refs == 0 {
		t.unused = time.Now()
		i.touch(t)
	}
}

// touch has the reconciler look at t. The caller holds the lock.
func (i *interest) touch(t *topic) {
	i.changed[t] = struct{}{}
	select {
	case i.wake <- struct{}{}:
	default:
	}
}
