package hub

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A session is one subscriber. What is not marked otherwise is set by Join and
// only read afterwards.
type session struct {
	transport.Subscriber
	hub    *Hub
	worker *worker
	heard  atomic.Int64 // seconds since 1970
	left   bool         // guarded by the hub's lock
	began  broker.Position

	places []place // its groups; the indexes are the worker's own

	// The worker's own:
	slot   int  // in the worker's wheel
	index  int  // in that slot
	ending bool // the worker has ended it or is about to
}

// A place is where a group's members hold a session.
type place struct {
	group  *group
	index  int      // in its members; negative for none
	behind *catchup // nil where it hears what is live
}

// place returns where s holds g.
func (s *session) place(g *group) int {
	return slices.IndexFunc(s.places, func(p place) bool { return p.group == g })
}

// Join implements transport.Hub.
func (h *Hub) Join(ctx context.Context, sub transport.Subscriber) (transport.Session, error) {
	s, topics, err := h.enter(sub)
	if err != nil {
		return nil, err
	}
	catchups := s.start(sub.Starts)
	began := h.outset(sub, topics)
	// From here on the worker has it: what comes between the broker's
	// confirmation and our return is not lost.
	if !s.worker.post(entry{kind: attach, session: s}) {
		s.Leave()
		return nil, ErrDraining
	}
	for _, t := range topics {
		if err := h.await(ctx, t); err != nil {
			s.Leave()
			return nil, err
		}
	}
	s.began = began()
	for i, c := range catchups {
		h.spawn(func() { h.resume(c, sub.Starts[i]) })
	}
	return s, nil
}

// enter makes the session known to all but its worker.
func (h *Hub) enter(sub transport.Subscriber) (*session, []*topic, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.draining {
		return nil, nil, ErrDraining
	}
	w := h.workers[h.joined%len(h.workers)]
	h.joined++
	h.sessions++
	s := &session{Subscriber: sub, hub: h, worker: w, places: make([]place, len(sub.Channels))}
	s.Heard()
	topics := make([]*topic, len(sub.Channels))
	for i, name := range sub.Channels {
		topics[i] = h.topic(name)
		h.acquire(topics[i])
		s.places[i].group = topics[i].group(w, sub.Encoding)
	}
	s.Channels, s.Starts = nil, nil // not needed any more, and parts of a whole request
	return s, topics, nil
}

// start gives s a catchup for each place that does not begin with what is live. They
// are by place.
func (s *session) start(starts []transport.Start) map[int]*catchup {
	catchups := map[int]*catchup{}
	for i, start := range starts {
		if start == (transport.Start{}) {
			continue
		}
		s.places[i].index = gone
		s.places[i].behind = newCatchup(s, i)
		catchups[i] = s.places[i].behind
	}
	return catchups
}

// await returns when the feed carries t, or with the reason why it does not.
func (h *Hub) await(ctx context.Context, t *topic) error {
	h.mu.RLock()
	confirmed := t.confirmed
	h.mu.RUnlock()
	select {
	case <-confirmed.done:
		if confirmed.err != nil {
			return fmt.Errorf("%w: %w", ErrNotConfirmed, confirmed.err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
	case <-h.ctx.Done():
		return ErrDraining
	}
}

// Heard implements transport.Session.
func (s *session) Heard() { s.heard.Store(time.Now().Unix()) }

// Leave implements transport.Session.
func (s *session) Leave() {
	if s.hub.leave(s) {
		s.worker.post(entry{kind: detach, session: s})
	}
}

// leave takes s out of what the hub knows, and reports whether it was there.
func (h *Hub) leave(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.left {
		return false
	}
	s.left = true
	for i := range s.places { // not by value: the index is the worker's
		g := s.places[i].group
		g.drop()
		h.release(g.topic)
	}
	if h.sessions--; h.sessions == 0 && h.draining {
		close(h.empty)
	}
	return true
}
