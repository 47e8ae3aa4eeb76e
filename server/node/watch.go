package node

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/server/access"
)

// Watch implements transport.Client. A caller that may no longer read the channel is woken,
// for its next look to tell it so.
func (c *Client) Watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error) {
	if err := c.Check(access.Subscribe, channel); err != nil {
		return nil, nil, err // ahead of limits, which are not a stranger's business
	}
	end, err := c.listen()
	if err != nil {
		return nil, nil, err
	}
	news, stop, err = c.watch(ctx, channel)
	switch {
	case end == nil:
		return news, stop, err
	case err != nil:
		end()
		return nil, nil, err
	}
	return news, func() { stop(); end() }, nil
}

// watch is Watch for a caller that is counted.
func (c *Client) watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error) {
	if err := c.enter(ctx, channel); err != nil {
		return nil, nil, err
	}
	signal, unwatch, err := c.node.hub.Watch(ctx, channel)
	if err != nil {
		c.leave(channel)
		return nil, nil, err
	}
	w := &watch{by: stay{c}, channel: channel, signal: signal}
	c.node.watches.add(w)
	stop = func() {
		c.node.watches.remove(w)
		unwatch()
		c.leave(channel)
	}
	if err := c.Check(access.Subscribe, channel); err != nil { // a review that began before has not come to it
		stop()
		return nil, nil, err
	}
	return signal, stop, nil
}

// A watch is a caller that waits for news of a channel.
type watch struct {
	by      stay
	channel string
	signal  chan<- struct{}
	expiry  *time.Timer // nil where the caller never expires
}

// wake has the caller look, unless it is about to.
func (w *watch) wake() {
	select {
	case w.signal <- struct{}{}:
	default:
	}
}

// watches are those of a node. There are no more of them than requests that wait.
type watches struct {
	mu  sync.Mutex
	all map[*watch]struct{}
}

func (s *watches) add(w *watch) {
	if ends := w.by.Ends(); !ends.IsZero() {
		w.expiry = time.AfterFunc(time.Until(ends), w.wake)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[*watch]struct{}{}
	}
	s.all[w] = struct{}{}
}

func (s *watches) remove(w *watch) {
	if w.expiry != nil {
		w.expiry.Stop()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, w)
}

// review wakes those whose callers may no longer read their channels.
func (s *watches) review() {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.all))
	s.mu.Unlock()
	for _, w := range all {
		if !w.by.IsKnown() || w.by.Review(w.channel) != nil {
			w.wake()
		}
	}
}
