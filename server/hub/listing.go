package hub

import (
	"cmp"
	"context"
	"slices"

	"github.com/pregon/pregon/transport"
)

// lookStep is how many sessions a worker looks at, for who asks, between messages. A group more may be among them.
const lookStep = 512

// A Listener is a session as it is shown to an operator.
type Listener struct {
	ID        uint64 // of this hub; later ones have greater
	Caller    Caller
	Transport string // as its Subscriber has it
	Queued    int    // bytes that wait for the client
	Channels  int    // that it has
	Channel   string // the only one, if there is one only
}

// A ChannelInfo is a channel as it is shown to an operator.
type ChannelInfo struct {
	Name        string
	Subscribers int     // sessions of this hub, those included that wait for the broker's confirmation
	Rate        float64 // messages per second, over the last ten seconds or somewhat more
}

// Listeners returns the first sessions of a channel, or of all for none, whose IDs are greater than after, by ID, and
// whether there are more. Those that come and go meanwhile may be among them or not; all others are, each once. The workers are
// asked between messages, and no lock of theirs is taken. Where ctx ends or the Hub is closed, that is the error.
func (h *Hub) Listeners(ctx context.Context, channel string, after uint64, limit int) (page []Listener, more bool, err error) {
	found := first{after: after, limit: limit + 1}
	if channel == "" {
		err = h.lookAtAll(ctx, &found)
	} else if t := h.topics.known(channel); t != nil {
		err = h.lookAt(ctx, t.audience().groups, &found)
	}
	if err != nil {
		return nil, false, err
	}
	sessions := found.sorted()
	if more = len(sessions) > limit; more {
		sessions = sessions[:limit]
	}
	for _, s := range sessions {
		page = append(page, h.listener(s))
	}
	return page, more, nil
}

func (h *Hub) listener(s *session) Listener {
	l := Listener{ID: s.id, Caller: s.caller, Transport: s.Transport, Queued: s.Socket.Queued()}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if l.Channels = s.stays.len(); l.Channels == 1 {
		for m := range s.stays.all() {
			l.Channel = m.group.topic.name
		}
	}
	return l
}

// lookAtAll has all workers go through their sessions. A session stays in its slot of the wheel, so each is found.
func (h *Hub) lookAtAll(ctx context.Context, found *first) error {
	for _, w := range h.workers {
		slot := 0
		err := h.ask(ctx, w, func() (done bool) {
			for looked := 0; slot < wheelSlots && looked < lookStep; slot++ {
				looked += len(w.wheel.slots[slot])
				found.add(w.wheel.slots[slot]...)
			}
			return slot == wheelSlots
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// lookAt has the workers of groups go through those.
func (h *Hub) lookAt(ctx context.Context, groups []*group, found *first) error {
	for _, w := range h.workers {
		own := slices.DeleteFunc(slices.Clone(groups), func(g *group) bool { return g.worker != w })
		err := h.ask(ctx, w, func() (done bool) {
			for looked := 0; len(own) > 0 && looked < lookStep; own = own[1:] {
				looked += own[0].show(found)
			}
			return len(own) == 0
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// show adds those who are in g, and returns how many they are.
func (g *group) show(found *first) int {
	for _, m := range g.members {
		found.add(m.session)
	}
	for _, c := range g.behind {
		found.add(c.session)
	}
	return len(g.members) + len(g.behind)
}

// A first keeps the sessions with the least IDs behind one, and not many more than its limit.
type first struct {
	after    uint64
	limit    int
	sessions []*session
}

func (f *first) add(sessions ...*session) {
	for _, s := range sessions {
		if s.id > f.after {
			f.sessions = append(f.sessions, s)
		}
	}
	if len(f.sessions) > 2*f.limit+lookStep {
		f.sorted()
	}
}

// sorted returns them, each once.
func (f *first) sorted() []*session {
	slices.SortFunc(f.sessions, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	f.sessions = slices.Compact(f.sessions) // one that has changed its group meanwhile
	if len(f.sessions) > f.limit {
		clear(f.sessions[f.limit:])
		f.sessions = f.sessions[:f.limit]
	}
	return f.sessions
}

// EndSession ends the session with that ID behind what was published before, for a reason that its client is told, and
// reports whether it was there. The error is that of Listeners.
func (h *Hub) EndSession(ctx context.Context, id uint64, reason transport.CloseReason) (bool, error) {
	w := h.workers[id%uint64(len(h.workers))]
	found, slot := false, 0
	err := h.ask(ctx, w, func() (done bool) {
		for looked := 0; slot < wheelSlots && looked < lookStep && !found; slot++ {
			looked += len(w.wheel.slots[slot])
			found = w.endIn(w.wheel.slots[slot], id, reason)
		}
		return found || slot == wheelSlots
	})
	if err != nil {
		return false, err
	}
	return found, nil
}

// endIn ends the session with that ID, if it is among some and not ending already.
func (w *worker) endIn(sessions []*session, id uint64, reason transport.CloseReason) bool {
	i := slices.IndexFunc(sessions, func(s *session) bool { return s.id == id })
	if i < 0 || sessions[i].ending {
		return false
	}
	w.endOne(sessions[i], reason)
	return true
}

// ask has w take one step after the other for who asks, each between messages, until one says that it was the last. After an
// error further ones may yet be taken.
func (h *Hub) ask(ctx context.Context, w *worker, step func() (done bool)) error {
	done := make(chan struct{})
	var do func()
	do = func() {
		if ctx.Err() != nil || step() {
			close(done)
			return
		}
		w.post(entry{kind: asked, do: do})
	}
	w.post(entry{kind: asked, do: do})
	select {
	case <-done:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	case <-h.ctx.Done():
		return ErrDraining
	}
}

// ListChannels returns the channels of this hub's sessions and watchers, in no order. It takes no lock that messages wait for.
func (h *Hub) ListChannels() []ChannelInfo {
	var all []ChannelInfo
	for _, v := range h.topics.names.Range {
		if t := v.(*topic); t.listen == nil {
			all = append(all, ChannelInfo{Name: t.name, Subscribers: h.topics.subscribers(t.name), Rate: t.meter.rate()})
		}
	}
	return all
}
