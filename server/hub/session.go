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
	id     uint64
	worker *worker
	caller Caller
	heard  atomic.Int64 // seconds since 1970

	// Guarded by the hub's lock:
	stays stays
	left  bool

	// The worker's own:
	ending      bool        // the worker has closed it or is about to
	due         int32       // in the worker's expiry
	slot        int32       // in the worker's wheel
	index       int32       // in that slot
	memberships *membership // the first of a list
	pending     int         // bytes that are kept for its catchups
	renewing    bool        // see worker.renew
	renewed     []byte      // to be sent then

	turn chan struct{} // of its catchups whose client does not keep up; full while some have it. Set ahead of their goroutines
}

// ErrChannels means that a session has as many channels as one may have. It matches
// broker.ErrDenied, as trying again does not help.
var ErrChannels = fmt.Errorf("hub: a session has as many channels as it may: %w", broker.ErrDenied)

// ErrSubscriber means that a Transport asks for what no client can have: see the
// error's text.
var ErrSubscriber = errors.New("hub: not a subscriber")

// Join is what [transport.Client].Join does, for package node. Without a Caller anyone may
// hear everything.
func (h *Hub) Join(_ context.Context, sub transport.Subscriber, by Caller) (transport.Session, error) {
	if sub.Socket == nil || sub.Encoding == nil || sub.Control == nil {
		return nil, fmt.Errorf("%w: it lacks a Socket, an Encoding or a Control", ErrSubscriber)
	}
	if by == nil {
		by = anyone{}
	}
	h.mu.Lock()
	if h.draining {
		h.mu.Unlock()
		return nil, ErrDraining
	}
	h.joined++
	s := &session{Subscriber: sub, hub: h, id: h.joined, worker: h.workers[h.joined%uint64(len(h.workers))], caller: by, due: gone}
	h.sessions++
	h.over[s.Transport]++
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
		errs[i] = s.ask(ctx, sub) // all before the first: it may take time
	}
	for i, sub := range subs {
		if errs[i] != nil {
			continue
		}
		m, err := s.enter(sub.Channel)
		if err != nil {
			errs[i] = err
			s.caller.Left(sub.Channel)
			continue
		}
		joinings = append(joinings, s.hub.prepare(m, sub, &errs[i]))
		topics = append(topics, m.group.topic)
	}
	for i, err := range s.hub.topics.confirmed(ctx, topics) {
		*joinings[i].err = joinings[i].end(err)
	}
	return errs
}

// ask returns why s may not subscribe a channel.
func (s *session) ask(ctx context.Context, sub transport.Subscription) error {
	if err := broker.CheckChannel(sub.Channel); err != nil {
		return fmt.Errorf("%w: %w: %w", ErrSubscriber, broker.ErrDenied, err)
	}
	if s.has(sub.Channel) {
		return transport.ErrSubscribed
	}
	return s.caller.Enter(ctx, sub)
}

func (s *session) has(channel string) bool {
	s.hub.mu.RLock()
	defer s.hub.mu.RUnlock()
	return s.stays.of(channel) != nil
}

// enter makes a membership that is known to all but the session's worker.
func (s *session) enter(channel string) (*membership, error) {
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
	case h.options.MaxChannels > 0 && s.stays.len() >= h.options.MaxChannels:
		return nil, ErrChannels
	}
	m := &membership{session: s, group: h.topics.join(channel, s.worker, s.Encoding), index: gone}
	s.stays.add(m)
	return m, nil
}

// A joining is a membership whose channel the broker has yet to confirm.
type joining struct {
	*catchup
	begin func() origin // where it begins; to be called once the channel is confirmed
	err   *error        // what Subscribe returns for it
}

// prepare has the worker keep what comes for m from now on: so nothing is lost between
// the broker's confirmation and what is done about it.
func (h *Hub) prepare(m *membership, sub transport.Subscription, err *error) joining {
	c := newCatchup(m)
	c.wanted = &sub
	return joining{catchup: c, begin: h.begin(c), err: err}
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
		first := end.Anew && end.At.IsZero() // or others were told that something is missing, and c was not
		return func() origin { return origin{at: end.At, anew: first, moving: end.Moving || end.Anew} }
	}
	return func() origin { return origin{at: k.Start(), anew: k.Start().IsZero()} }
}

// end lets the client hear the channel, from where it asked, or where the channel is not
// confirmed, or the caller may not hear it any more, takes it out again and returns why.
func (j joining) end(refused error) error {
	c := j.catchup
	if refused == nil {
		refused = c.session.caller.Review(c.channel()) // a Review that began before may not have come to it
	}
	if refused != nil {
		c.session.part(c.membership, Unsubscribed, nil)
		return refused
	}
	j.start()
	return nil
}

// start lets the client hear the channel, which is confirmed.
func (j joining) start() {
	h, c := j.session.hub, j.catchup
	o := j.begin()
	c.end = o.at
	if c.wanted.Start != (transport.Start{}) {
		c.from = o
		c.session.worker.post(entry{kind: replayed, catchup: c})
		return
	}
	told, ok := c.owe(transport.Subscribed{Channel: c.channel(), Position: h.replay.cursor(o)})
	if !ok {
		return
	}
	c.anew, c.moving = o.anew, o.moving
	c.session.worker.post(entry{kind: live, catchup: c, frame: frame{bytes: told, position: o.at}})
	c.begun(*c.wanted)
}

// Unsubscribe implements transport.Session.
func (s *session) Unsubscribe(channel string, last func() []byte) {
	h := s.hub
	h.mu.RLock()
	m := s.stays.of(channel)
	h.mu.RUnlock()
	if (m == nil || !s.part(m, Unsubscribed, last)) && last != nil {
		s.Say(last())
	}
}

// part ends the stay m of s, with a last word, and reports whether it was there.
func (s *session) part(m *membership, how Ending, last func() []byte) bool {
	if !s.hub.part(m) {
		return false
	}
	m.last = last
	s.worker.post(entry{kind: parted, membership: m})
	m.over(how)
	return true
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

// Renewed implements transport.Session.
func (s *session) Renewed(last []byte) {
	s.worker.post(entry{kind: renewed, session: s, frame: frame{bytes: last}})
}

// Touch implements transport.Session.
func (s *session) Touch() { s.heard.Store(time.Now().Unix()) }

// Leave implements transport.Session.
func (s *session) Leave() {
	stays, left := s.hub.leave(s)
	if !left {
		return
	}
	s.worker.post(entry{kind: detach, session: s})
	for m := range stays.all() {
		m.over(Lost)
	}
	s.caller.Gone()
}

// leave takes s out of what the hub knows, and returns its stays. It reports whether s was
// there.
func (h *Hub) leave(s *session) (ended stays, left bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.left {
		return ended, false
	}
	s.left = true
	for m := range s.stays.all() {
		h.topics.leave(m.group)
	}
	ended, s.stays = s.stays, stays{}
	h.over[s.Transport]--
	if h.sessions--; h.sessions == 0 && h.draining {
		close(h.empty)
	}
	return ended, true
}
