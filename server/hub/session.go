package hub

import (
	"context"
	"errors"
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

// ErrSubscriber means that a Transport asks for what no client can have: see the
// error's text.
var ErrSubscriber = errors.New("hub: not a subscriber")

// Join is what [transport.Client].Join does, for package node.
func (h *Hub) Join(ctx context.Context, sub transport.Subscriber) (transport.Session, error) {
	if err := check(sub); err != nil {
		return nil, err
	}
	s, topics, err := h.enter(sub)
	if err != nil {
		return nil, err
	}
	catchups := s.start(sub.Starts)
	confirmed := h.origins(topics)
	// From here on the worker has it: what comes between the broker's
	// confirmation and our return is not lost.
	if !s.worker.post(entry{kind: attach, session: s}) {
		s.Leave()
		return nil, ErrDraining
	}
	if err := h.confirmed(ctx, topics); err != nil {
		s.Leave()
		return nil, err
	}
	origins := confirmed()
	if sub.Starts == nil {
		s.began = h.cursor(origins[0])
	}
	for i, c := range catchups {
		h.spawn(func() { h.resume(c, sub.Starts[i], origins[i]) })
	}
	return s, nil
}

// check refuses channels that no client may hear, or that would be heard twice. The
// error has no name in it.
func check(sub transport.Subscriber) error {
	if len(sub.Channels) == 0 {
		return fmt.Errorf("%w: no channel", ErrSubscriber)
	}
	if sub.Starts != nil && len(sub.Starts) != len(sub.Channels) {
		return fmt.Errorf("%w: %d starts for %d channels", ErrSubscriber, len(sub.Starts), len(sub.Channels))
	}
	seen := make(map[string]struct{}, len(sub.Channels))
	for _, name := range sub.Channels {
		if err := broker.CheckChannel(name); err != nil {
			return fmt.Errorf("%w: %w", ErrSubscriber, err)
		}
		seen[name] = struct{}{}
	}
	if len(seen) < len(sub.Channels) {
		return fmt.Errorf("%w: a channel is named twice", ErrSubscriber)
	}
	return nil
}

// Began implements transport.Session.
func (s *session) Began() broker.Position { return s.began }

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

// confirmed returns when the feed carries topics over a link that stands, or with the
// reason why it does not. That a topic was confirmed once is not enough: the link may
// have been lost since, and the feed be restoring it. So the feed is asked again for
// what it carries, which costs the broker nothing while the link stands. The caller
// has acquired the topics, so nobody removes them meanwhile.
func (h *Hub) confirmed(ctx context.Context, topics []*topic) error {
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		for _, t := range topics {
			if err := h.await(ctx, t); err != nil {
				return err
			}
		}
		err := h.current().Add(ctx, names(topics)...)
		switch {
		case err == nil:
			return nil
		case h.ctx.Err() != nil:
			return ErrDraining
		case errors.Is(err, broker.ErrDenied), !wait(ctx, jitter(backoff)):
			return fmt.Errorf("%w: %w", ErrNotConfirmed, err)
		}
	}
}

// wait reports whether ctx is still there after d.
func wait(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// await returns when the broker has confirmed t, or with the reason why it does not.
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
	case <-h.ctx.Done():
		return ErrDraining
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
	}
}

// current returns the feed that carries the topics.
func (h *Hub) current() broker.Feed {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.feed
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
