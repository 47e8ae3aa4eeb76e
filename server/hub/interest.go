package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/internal/backoff"
)

const (
	attemptTimeout = 5 * time.Second  // one call of Add or Remove
	retryAfter     = time.Second      // after which what has failed for one channel is tried again
	retryDenied    = 30 * time.Second // likewise, where permission is missing
	maxNames       = 1000             // that the broker is asked for at once
	maxRefusals    = 16               // channels that are refused in one step, other than for want of permission
)

// reconcile is the one goroutine that adds and removes channels. It owns the
// feed, the reader of it, and what comes after a feed that ended by itself.
func (h *Hub) reconcile(feed broker.Feed) {
	stop := h.read(feed)
	defer func() { stop() }() // the newest one
	var pause backoff.Backoff
	for {
		again, err := h.step(feed)
		wake := h.wake
		if err != nil {
			again, wake = pause.Next(), nil
		} else {
			pause.Reset()
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

// step brings the feed up to what is wanted now, as far as it can. It returns
// when to look again for channels that are unused but not for long enough, or that
// the broker has refused, 0 for never.
func (h *Hub) step(feed broker.Feed) (again time.Duration, err error) {
	add, remove, again := h.plan(time.Now())
	for some := range slices.Chunk(remove, maxNames) {
		if !h.remove(feed, some) {
			break // the others are tried in the next step
		}
	}
	for some := range slices.Chunk(add, maxNames) {
		refusals := 0
		if err = errors.Join(err, h.add(feed, some, &refusals)); err != nil && backfill.ConcernsAll(err) {
			break
		}
	}
	return again, err
}

// plan compares what is wanted with what is there.
func (h *Hub) plan(now time.Time) (add, remove []*topic, again time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := func(at time.Time) bool {
		left := at.Sub(now)
		if left > 0 && (again == 0 || left < again) {
			again = left
		}
		return left <= 0
	}
	for t := range h.changed {
		switch {
		case t.refs > 0 && t.there:
			delete(h.changed, t)
		case t.refs > 0:
			if due(t.later) {
				t.await() // only now: one who asks before then is told of the refusal
				add = append(add, t)
			}
		case !t.there && !t.stale: // it is removed, or nobody waited until it was confirmed
			delete(h.changed, t)
			delete(h.topics, t.name)
			h.names.Delete(t.name)
		case !t.there:
			if due(t.later) {
				remove = append(remove, t)
			}
		case due(t.unused.Add(h.options.Linger)):
			h.absent(t) // from now on: a client that comes while it is removed is to wait
			t.stale = true
			remove = append(remove, t)
		}
	}
	return add, remove, again
}

// remove removes topics, and reports whether that succeeded. What fails is tried again,
// later, so that the others are not kept waiting.
func (h *Hub) remove(feed broker.Feed, topics []*topic) bool {
	for _, t := range topics {
		if t.track != nil {
			t.track.Forget()
		}
	}
	ctx, cancel := context.WithTimeout(h.ctx, attemptTimeout)
	err := feed.Remove(ctx, names(topics)...)
	cancel()
	if err != nil && h.ctx.Err() == nil {
		h.log.Warn("hub: unsubscribe failed, trying again", "channels", len(topics), "error", err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, t := range topics {
		if t.stale = err != nil; t.stale && t.refs == 0 {
			t.later = time.Now().Add(retryAfter)
		}
		h.touch(t)
	}
	return err == nil
}

// absent notes that the feed does not carry t, which the next step looks at
// again. The caller holds the lock.
func (h *Hub) absent(t *topic) {
	t.there = false
	t.await()
	h.touch(t)
}

// add adds topics. Where the broker refuses, it finds out which ones: one channel
// must not keep the others waiting. After maxRefusals the rest waits for the next
// step: a driver that fails at everything is not to be asked for each channel alone.
func (h *Hub) add(feed broker.Feed, topics []*topic, refusals *int) error {
	ctx, cancel := context.WithTimeout(h.ctx, attemptTimeout)
	err := h.noteEnds(ctx, topics)
	if err == nil {
		err = feed.Add(ctx, names(topics)...)
	}
	cancel()
	switch {
	case err == nil:
		h.confirm(topics, nil)
		return nil
	case backfill.ConcernsAll(err) || *refusals == maxRefusals:
		h.health.failed(err)
		h.log.Debug("hub: subscribe failed, trying again", "channels", len(topics), "error", err)
		return err
	case len(topics) > 1:
		half := len(topics) / 2
		return errors.Join(h.add(feed, topics[:half], refusals), h.add(feed, topics[half:], refusals))
	case topics[0].listen != nil: // the heartbeat's: without it a hub is not ready
		h.health.failed(err)
		return err
	}
	h.log.Error("hub: the broker refuses a channel", "error", err)
	if !errors.Is(err, broker.ErrDenied) {
		*refusals++
	}
	h.confirm(topics, err)
	return nil
}

// noteEnds notes where the history of topics ends before they are subscribed: what is
// lost before the first message of a channel is seen from that.
func (h *Hub) noteEnds(ctx context.Context, topics []*topic) error {
	if h.history == nil {
		return nil
	}
	return h.filler.Begin(ctx, tracks(topics)...)
}

// tracks returns what follows the positions of topics, as far as they have a history.
func tracks(topics []*topic) []*backfill.Channel {
	tracks := make([]*backfill.Channel, 0, len(topics))
	for _, t := range topics {
		if t.track != nil {
			tracks = append(tracks, t.track)
		}
	}
	return tracks
}

// carried returns what follows the positions of the topics that the feed carries.
func (h *Hub) carried() []*backfill.Channel {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var topics []*topic
	for _, t := range h.topics {
		if t.there {
			topics = append(topics, t)
		}
	}
	return tracks(topics)
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
		t.there, t.stale = refused == nil, false
		if t.holed && t.there {
			t.holed = false
			holed = append(holed, t.name)
		}
		t.confirmed.err = refused
		close(t.confirmed.done)
		delete(h.changed, t)
		switch {
		case t.refs == 0:
			h.touch(t)
		case !t.there: // there may be subscribers of an earlier feed
			t.later = time.Now().Add(retryAfter)
			if errors.Is(refused, broker.ErrDenied) {
				t.later = time.Now().Add(retryDenied)
			}
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
	for pause := (backoff.Backoff{}); ; {
		feed, err := h.broker.Feed(h.ctx)
		if err == nil {
			h.mu.Lock()
			h.feed = feed
			h.mu.Unlock()
			return feed
		}
		if !pause.Wait(h.ctx) {
			return nil
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
		t.stale, t.later = false, time.Time{}
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
