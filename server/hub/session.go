package hub

import (
	"context"
	"errors"
	"fmt"
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

	// Guarded by the hub's lock:
	left  bool
	stays stays

	// The worker's own:
	memberships *membership // the first of a list
	slot        int         // in the worker's wheel
	index       int         // in that slot
	ending      bool        // the worker has closed it or is about to
}

// ErrSubscriber means that a Transport asks for what no client can have: see the
// error's text.
var ErrSubscriber = errors.New("hub: not a subscriber")

// Join is what [transport.Client].Join does, for package node.
func (h *Hub) Join(_ context.Context, sub transport.Subscriber) (transport.Session, error) {
	if sub.Socket == nil || sub.Encoding == nil || sub.Control == nil {
		return nil, fmt.Errorf("%w: it lacks a Socket, an Encoding or a Control", ErrSubscriber)
	}
	h.mu.Lock()
	if h.draining {
		h.mu.Unlock()
		return nil, ErrDraining
	}
	s := &session{Subscriber: sub, hub: h, worker: h.workers[h.joined%len(h.workers)]}
	h.joined++
	h.sessions++
	h.mu.Unlock()
	s.Touch()
	if !s.worker.post(entry{kind: attach, session: s}) {
		s.Leave()
		return nil, ErrDraining
	}
	return s, nil
}

// Subscribe implements transport.Session.
func (s *session) Subscribe(ctx context.Context, subs ...transport.Subscription) []error {
	errs := make([]error, len(subs))
	joinings := make([]joining, 0, len(subs))
	topics := make([]*topic, 0, len(subs))
	for i, sub := range subs {
		m, err := s.enter(sub.Channel)
		if err != nil {
			errs[i] = err
			continue
		}
		joinings = append(joinings, s.hub.prepare(m, sub, &errs[i]))
		topics = append(topics, m.group.topic)
	}
	for i, err := range s.hub.topics.confirmed(ctx, topics) {
		*joinings[i].err = err
		joinings[i].end(err)
	}
	return errs
}

// enter makes a membership that is known to all but the session's worker.
func (s *session) enter(channel string) (*membership, error) {
	if err := broker.CheckChannel(channel); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSubscriber, err)
	}
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.left:
		return nil, transport.ErrLeft
	case h.draining:
		return nil, ErrDraining
	case s.stays.of(channel) != nil:
		return nil, transport.ErrSubscribed
	}
	m := &membership{session: s, group: h.topics.join(channel, s.worker, s.Encoding), index: gone}
	s.stays.add(m)
	return m, nil
}

// A joining is a membership whose channel the broker has yet to confirm.
type joining struct {
	*catchup
	start transport.Start
	begin func() origin // where it begins; to be called once the channel is confirmed
	err   *error        // what Subscribe returns for it
}

// prepare has the worker keep what comes for m from now on: so nothing is lost between
// the broker's confirmation and what is done about it.
func (h *Hub) prepare(m *membership, sub transport.Subscription, err *error) joining {
	c := newCatchup(m)
	c.tell = sub.Answer
	return joining{catchup: c, start: sub.Start, begin: h.begin(c), err: err}
}

// begin tells the worker of c to keep what comes, and notes where the channel ends at that
// very moment: everything behind that is kept. The function that it returns is called when
// the broker has confirmed the channel, and says where the session begins.
func (h *Hub) begin(c *catchup) (confirmed func() origin) {
	join := func() { c.session.worker.post(entry{kind: joined, catchup: c}) }
	k := c.group.topic.track
	if k == nil {
		join()
		return func() origin { return origin{} }
	}
	if end := k.Enter(join); end.Known {
		return func() origin { return origin{at: end.At, anew: end.Anew, moving: end.Moving} }
	}
	return func() origin { return origin{at: k.Start(), anew: k.Start().IsZero()} }
}

// end lets the client hear the channel, from where it asked, or where the channel is not
// confirmed takes it out again.
func (j joining) end(refused error) {
	h, c := j.session.hub, j.catchup
	if refused != nil {
		if h.part(c.membership) {
			c.session.worker.post(entry{kind: parted, membership: c.membership})
		}
		return
	}
	o := j.begin()
	if j.start != (transport.Start{}) {
		h.spawn(func() { h.replay.resume(c, j.start, o) })
		return
	}
	told, ok := c.said(transport.Subscribed{Channel: c.channel(), Position: h.replay.cursor(o)})
	if !ok {
		return
	}
	c.anew, c.moving = o.anew, o.moving
	c.session.worker.post(entry{kind: live, catchup: c, frame: frame{bytes: told, position: o.at}})
}

// Unsubscribe implements transport.Session.
func (s *session) Unsubscribe(channel string, last []byte) {
	h := s.hub
	h.mu.RLock()
	m := s.stays.of(channel)
	h.mu.RUnlock()
	if m == nil || !h.part(m) {
		s.Say(last)
		return
	}
	s.worker.post(entry{kind: parted, membership: m, frame: frame{bytes: last}})
}

// part takes m out of what the hub knows, and reports whether it was there.
func (h *Hub) part(m *membership) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !m.session.stays.remove(m) {
		return false
	}
	h.topics.leave(m.group)
	return true
}

// Say implements transport.Session.
func (s *session) Say(said []byte) {
	if len(said) > 0 {
		s.worker.post(entry{kind: say, session: s, frame: frame{bytes: said}})
	}
}

// Touch implements transport.Session.
func (s *session) Touch() { s.heard.Store(time.Now().Unix()) }

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
	for m := range s.stays.all() {
		h.topics.leave(m.group)
	}
	s.stays = stays{}
	if h.sessions--; h.sessions == 0 && h.draining {
		close(h.empty)
	}
	return true
}
