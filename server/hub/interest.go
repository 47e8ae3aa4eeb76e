package hub

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
)

const (
	attemptTimeout = 5 * time.Second       // one call of Add or Remove
	minBackoff     = 50 * time.Millisecond // between failed attempts
	maxBackoff     = 500 * time.Millisecond
)

// reconcile is the one goroutine that adds and removes channels. It owns the
// feed, the reader of it, and what comes after a feed that ended by itself.
func (h *Hub) reconcile(feed broker.Feed) {
	stop := h.read(feed)
	defer func() { stop() }() // the newest one
	backoff := minBackoff
	for {
		again, err := h.step(feed)
		wake := h.wake
		if err != nil {
			again, wake = jitter(backoff), nil
			backoff = min(2*backoff, maxBackoff)
		} else {
			backoff = minBackoff
		}
		select {
		case <-wake:
		case <-after(again):
		case err := <-h.lost:
			stop()
			if feed = h.reopen(err); feed == nil {
				return
			}
			stop = h.read(feed)
		case <-h.ctx.Done():
			return
		}
	}
}

// after is time.After, and never for 0.
func after(d time.Duration) <-chan time.Time {
	if d == 0 {
		return nil
	}
	return time.After(d)
}

// jitter returns between a half and the whole of d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// step brings the feed up to what is wanted now, as far as it can. It returns
// when to look again for channels that are unused but not for long enough, 0
// for never.
func (h *Hub) step(feed broker.Feed) (again time.Duration, err error) {
	add, remove, again := h.plan(time.Now())
	for _, t := range remove {
		if t.track != nil {
			t.track.reset()
		}
	}
	if len(remove) > 0 {
		ctx, cancel := context.WithTimeout(h.ctx, attemptTimeout)
		err = feed.Remove(ctx, names(remove)...)
		cancel()
	}
	if len(add) > 0 {
		err = errors.Join(err, h.add(feed, add))
	}
	return again, err
}

// plan compares what is wanted with what is there.
func (h *Hub) plan(now time.Time) (add, remove []*topic, again time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.changed {
		switch left := t.unused.Add(h.options.Linger).Sub(now); {
		case t.refs > 0 && !t.there:
			add = append(add, t)
		case t.refs > 0:
			delete(h.changed, t)
		case !t.there: // left before it was confirmed
			delete(h.changed, t)
			delete(h.topics, t.name)
		case left > 0:
			if again == 0 || left < again {
				again = left
			}
		default:
			h.absent(t) // from now on: whoever comes while it is removed is to wait
			remove = append(remove, t)
		}
	}
	return add, remove, again
}

// absent notes that the feed does not carry t, which the next step looks at
// again. The caller holds the lock.
func (h *Hub) absent(t *topic) {
	t.there = false
	t.await()
	h.touch(t)
}

// add adds topics. Where the broker refuses, it finds out which ones: one
// channel without permission must not keep the others waiting.
func (h *Hub) add(feed broker.Feed, topics []*topic) error {
	ctx, cancel := context.WithTimeout(h.ctx, attemptTimeout)
	err := h.begin(ctx, topics)
	if err == nil {
		err = feed.Add(ctx, names(topics)...)
	}
	cancel()
	switch {
	case err == nil:
		h.confirm(topics, nil)
		return nil
	case !errors.Is(err, broker.ErrDenied):
		h.health.failed(err)
		h.log.Debug("hub: subscribe failed, trying again", "channels", len(topics), "error", err)
		return err
	case len(topics) == 1 && topics[0].listen == nil:
		h.log.Error("hub: the broker refuses a channel", "error", err)
		h.confirm(topics, err)
		return nil
	case len(topics) == 1: // the heartbeat's: without it a hub is not ready
		h.health.failed(err)
		return err
	}
	half := len(topics) / 2
	return errors.Join(h.add(feed, topics[:half]), h.add(feed, topics[half:]))
}

// begin notes where the history of topics ends before they are subscribed: what is
// lost before the first message of a channel is seen from that.
func (h *Hub) begin(ctx context.Context, topics []*topic) error {
	if h.history == nil {
		return nil
	}
	topics = slices.DeleteFunc(slices.Clone(topics), func(t *topic) bool { return t.track == nil })
	newest, err := h.history.Newest(ctx, names(topics)...)
	if err != nil {
		return err
	}
	for i, t := range topics {
		t.track.begin(newest[i])
	}
	return nil
}

// confirm tells those who wait for topics that they are there, or refused, and
// those who have waited through the end of a feed that messages may be missing.
func (h *Hub) confirm(topics []*topic, refused error) {
	if holed := h.settle(topics, refused); len(holed) > 0 {
		h.gap(&broker.GapError{Channels: holed, Reason: broker.LinkLost})
	}
}

// settle does what confirm says but for the telling. It returns whom to tell.
func (h *Hub) settle(topics []*topic, refused error) (holed []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		t.there = refused == nil
		if t.holed {
			t.holed = false
			holed = append(holed, t.name)
		}
		t.confirmed.err = refused
		close(t.confirmed.done)
		delete(h.changed, t)
		if t.refs == 0 {
			h.touch(t)
		}
	}
	return holed
}

// reopen replaces a feed that has ended by itself. All that it carried is to be
// added again, and messages may be missing: from now on, which is told at once,
// until it is there again, which confirm tells. It returns nil when the hub
// closes.
func (h *Hub) reopen(cause error) broker.Feed {
	h.log.Error("hub: the broker's feed has ended, opening another", "error", cause)
	h.lostAll()
	for backoff := minBackoff; ; backoff = min(2*backoff, maxBackoff) {
		feed, err := h.broker.Feed(h.ctx)
		if err == nil {
			return feed
		}
		select {
		case <-h.ctx.Done():
			return nil
		case <-time.After(jitter(backoff)):
		}
	}
}

func (h *Hub) lostAll() {
	h.mu.Lock()
	var carried []string
	for _, t := range h.topics {
		if t.there {
			carried = append(carried, t.name)
			t.holed = true
		}
		h.absent(t)
	}
	h.mu.Unlock()
	h.gap(&broker.GapError{Channels: carried, Reason: broker.LinkLost})
}

func names(topics []*topic) []string {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	return names
}
