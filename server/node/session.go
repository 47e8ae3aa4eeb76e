package node

import (
	"context"
	"sync"

	"github.com/pregon/pregon/transport"
)

// A session asks the hooks for each channel of a Session, and tells them when it is no
// longer heard.
type session struct {
	transport.Session
	client *Client

	mu   sync.Mutex
	held map[string]struct{} // channels for which OnSubscribe returned nil
}

// Subscribe implements transport.Session.
func (s *session) Subscribe(ctx context.Context, subs ...transport.Subscription) []error {
	errs := make([]error, len(subs))
	asked, from := make([]transport.Subscription, 0, len(subs)), make([]int, 0, len(subs))
	for i, sub := range subs {
		if errs[i] = s.ask(ctx, sub.Channel); errs[i] == nil {
			asked, from = append(asked, sub), append(from, i)
		}
	}
	for i, err := range s.Session.Subscribe(ctx, asked...) {
		if errs[from[i]] = err; err != nil {
			s.drop(asked[i].Channel)
		}
	}
	return errs
}

// ask returns why the Session may not have a channel, or else holds it.
func (s *session) ask(ctx context.Context, channel string) error {
	if s.has(channel) {
		return transport.ErrSubscribed
	}
	if err := s.client.enter(ctx, channel); err != nil {
		return err
	}
	err := s.hold(channel)
	if err != nil {
		s.client.leave(channel)
	}
	return err
}

func (s *session) has(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, held := s.held[channel]
	return held
}

// hold returns an error where the Session got the channel while the hook was asked. One
// that has left holds it until the hub says so.
func (s *session) hold(channel string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, held := s.held[channel]; held {
		return transport.ErrSubscribed
	}
	s.held[channel] = struct{}{}
	return nil
}

// drop tells the hook that a channel is left, unless somebody has.
func (s *session) drop(channel string) {
	s.mu.Lock()
	_, held := s.held[channel]
	delete(s.held, channel)
	s.mu.Unlock()
	if held {
		s.client.leave(channel)
	}
}

// Unsubscribe implements transport.Session.
func (s *session) Unsubscribe(channel string, last []byte) {
	s.Session.Unsubscribe(channel, last)
	s.drop(channel)
}

// Leave implements transport.Session.
func (s *session) Leave() {
	s.Session.Leave()
	s.mu.Lock()
	left := s.held
	s.held = map[string]struct{}{}
	s.mu.Unlock()
	for channel := range left {
		s.client.leave(channel)
	}
}
