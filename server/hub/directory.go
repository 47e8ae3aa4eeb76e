package hub

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/interest"
	"github.com/pregon/pregon/transport"
)

// A directory has the topics of a node by name. Sessions and watchers come and go here, and
// package interest is told how much each topic is wanted.
type directory struct {
	interest *interest.Interest
	filler   *backfill.Filler // nil where there is no history
	counts   *counts
	traced   bool // somebody is told of deliveries
	clock    clock

	names sync.Map // topics by name for the reader: what it finds it finds without a lock

	mu     sync.RWMutex
	topics map[string]*topic
	taps   int // topics that are buses
}

// want makes one more of those within the hub that are no session want a channel.
func (d *directory) want(name string) *topic {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topic(name)
	d.interest.Acquire(t.want)
	return t
}

// listen wants a channel of the hub's own, which has no history, and without which the hub
// does not work.
func (d *directory) listen(name string, hear func(broker.Message)) *topic {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topic(name)
	t.listen, t.track, t.want = hear, nil, d.interest.Vital(name)
	d.interest.Acquire(t.want)
	return t
}

// tap wants a channel on which nodes talk to each other, which has no history.
func (d *directory) tap(name string, hear func(broker.Message), lost func()) *topic {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topic(name)
	t.listen, t.lost, t.track = hear, lost, nil
	d.taps++
	d.interest.Acquire(t.want)
	return t
}

// unwant takes want or tap back.
func (d *directory) unwant(t *topic) { d.interest.Release(t.want) }

// join makes one more session want a channel, and returns the group that it is to be in.
func (d *directory) join(name string, w *worker, e transport.Encoding) *group {
	d.mu.Lock()
	defer d.mu.Unlock()
	t := d.topic(name)
	d.interest.Acquire(t.want)
	return t.group(w, e)
}

// leave takes join back.
func (d *directory) leave(g *group) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g.drop()
	d.interest.Release(g.topic.want)
}

// topic returns the topic of that name, a new one if need be. The caller holds the lock, and
// acquires the topic before it lets go: see gone.
func (d *directory) topic(name string) *topic {
	t, ok := d.topics[name]
	if !ok {
		name = strings.Clone(name) // it may be a part of a whole request
		t = &topic{directory: d, name: name, want: d.interest.Channel(name)}
		if d.filler != nil {
			t.track = d.filler.Channel(name, t)
		}
		d.topics[name] = t
		d.names.Store(name, t)
	}
	return t
}

// gone forgets the topic of w, unless somebody has come who wants it.
func (d *directory) gone(w *interest.Want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.topics[w.Name()]; t != nil && t.want == w && !d.interest.IsWanted(w) {
		delete(d.topics, t.name)
		d.names.Delete(t.name)
		if t.lost != nil {
			d.taps--
		}
	}
}

// confirmed returns when the broker has confirmed topics, which the caller has acquired, or
// with the reason for each why it does not.
func (d *directory) confirmed(ctx context.Context, topics []*topic) []error {
	wants := make([]*interest.Want, len(topics))
	for i, t := range topics {
		wants[i] = t.want
	}
	errs := d.interest.Confirm(ctx, wants...)
	for i, err := range errs {
		if errors.Is(err, interest.ErrClosed) {
			errs[i] = ErrDraining
		}
	}
	return errs
}

// noteEnds notes where the history of channels ends before they are subscribed: what is
// lost before the first message of a channel is seen from that.
func (d *directory) noteEnds(ctx context.Context, channels ...string) error {
	if d.filler == nil {
		return nil
	}
	return d.filler.Begin(ctx, d.tracks(channels)...)
}

// forget notes that channels are not carried any more.
func (d *directory) forget(channels ...string) {
	for _, c := range d.tracks(channels) {
		c.Forget()
	}
}

// carried returns what follows the positions of the channels that the feed carries.
func (d *directory) carried() []*backfill.Channel { return d.tracks(d.interest.Carried()) }

// tracks returns what follows the positions of channels, as far as they have a history.
func (d *directory) tracks(channels []string) []*backfill.Channel {
	tracks := make([]*backfill.Channel, 0, len(channels))
	for _, name := range channels {
		if c := d.track(name); c != nil {
			tracks = append(tracks, c)
		}
	}
	return tracks
}

// track returns what follows the positions of a channel, nil where there is no history or
// nobody listens to it.
func (d *directory) track(channel string) *backfill.Channel {
	if t := d.known(channel); t != nil {
		return t.track
	}
	return nil
}

// size returns how many channels the feed carries or is asked to carry, but for buses.
func (d *directory) size() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.topics) - d.taps
}

// subscribers returns how many sessions a channel has.
func (d *directory) subscribers(channel string) (n int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	t, ok := d.topics[channel]
	if !ok {
		return 0
	}
	for _, g := range t.audience().groups {
		n += g.refs
	}
	return n
}
