package hub

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
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

// An interest is which channels this node wants. One goroutine compares that with what the
// feed carries, adds and removes channels, and opens another feed where one has ended.
type interest struct {
	broker broker.Broker
	linger time.Duration
	log    *slog.Logger
	filler *backfill.Filler // nil where there is no history
	counts *counts
	ctx    context.Context // ends with the hub

	hear   func(broker.Feed) error // dispatches what a feed brings, until it ends
	tell   func(*broker.GapError)  // of messages that may be missing
	failed func(error)             // is told why the broker does not have a channel

	names sync.Map // topics by name for the reader: what it finds it finds without a lock

	mu      sync.RWMutex
	feed    broker.Feed // the present one; reconcile replaces it
	topics  map[string]*topic
	changed map[*topic]struct{} // wanted or not is to be compared with there or not

	wake chan struct{} // tells the reconciler that changed has something
	lost chan error    // the last word on a feed that ended by itself
}

func newInterest(ctx context.Context, b broker.Broker, feed broker.Feed, linger time.Duration, log *slog.Logger, c *counts) *interest {
	return &interest{
		broker: b, feed: feed, linger: linger, log: log, counts: c, ctx: ctx,
		topics: map[string]*topic{}, changed: map[*topic]struct{}{},
		wake: make(chan struct{}, 1), lost: make(chan error, 1),
	}
}

// reconcile is the one goroutine that adds and removes channels. It owns the
// feed, the reader of it, and what comes after a feed that ended by itself.
func (i *interest) reconcile() {
	feed := i.current()
	stop := i.read(feed)
	defer func() { stop() }() // the newest one
	var pause backoff.Backoff
	for {
		again, err := i.step(feed)
		wake := i.wake
		if err != nil {
			again, wake = pause.Next(), nil
		} else {
			pause.Reset()
		}
		select {
		case <-wake:
		case <-after(again):
		case err := <-i.lost:
			stop()
			if feed = i.reopen(err); feed == nil {
				return
			}
			stop = i.read(feed)
		case <-i.ctx.Done():
			return
		}
	}
}

// read starts the reader of feed. The function that it returns closes the feed
// and waits for the reader.
func (i *interest) read(feed broker.Feed) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := i.hear(feed)
		select {
		case i.lost <- err:
		case <-i.ctx.Done():
		}
	}()
	return func() {
		if err := feed.Close(); err != nil {
			i.log.Warn("hub: close feed", "error", err)
		}
		<-done
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
func (i *interest) step(feed broker.Feed) (again time.Duration, err error) {
	add, remove, again := i.plan(time.Now())
	for some := range slices.Chunk(remove, maxNames) {
		if !i.remove(feed, some) {
			break // the others are tried in the next step
		}
	}
	for some := range slices.Chunk(add, maxNames) {
		refusals := 0
		if err = errors.Join(err, i.add(feed, some, &refusals)); err != nil && backfill.ConcernsAll(err) {
			break
		}
	}
	return again, err
}

// plan compares what is wanted with what is there.
func (i *interest) plan(now time.Time) (add, remove []*topic, again time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	due := func(at time.Time) bool {
		left := at.Sub(now)
		if left > 0 && (again == 0 || left < again) {
			again = left
		}
		return left <= 0
	}
	for t := range i.changed {
		switch {
		case t.refs > 0 && t.there:
			delete(i.changed, t)
		case t.refs > 0:
			if due(t.later) {
				t.await() // only now: one who asks before then is told of the refusal
				add = append(add, t)
			}
		case !t.there && !t.stale: // it is removed, or nobody waited until it was confirmed
			delete(i.changed, t)
			delete(i.topics, t.name)
			i.names.Delete(t.name)
		case !t.there:
			if due(t.later) {
				remove = append(remove, t)
			}
		case due(t.unused.Add(i.linger)):
			i.absent(t) // from now on: a client that comes while it is removed is to wait
			t.stale = true
			remove = append(remove, t)
		}
	}
	return add, remove, again
}

// remove removes topics, and reports whether that succeeded. What fails is tried again,
// later, so that the others are not kept waiting.
func (i *interest) remove(feed broker.Feed, topics []*topic) bool {
	for _, t := range topics {
		if t.track != nil {
			t.track.Forget()
		}
	}
	ctx, cancel := context.WithTimeout(i.ctx, attemptTimeout)
	err := feed.Remove(ctx, names(topics)...)
	cancel()
	if err != nil && i.ctx.Err() == nil {
		i.log.Warn("hub: unsubscribe failed, trying again", "channels", len(topics), "error", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range topics {
		if t.stale = err != nil; t.stale && t.refs == 0 {
			t.later = time.Now().Add(retryAfter)
		}
		i.touch(t)
	}
	return err == nil
}

// absent notes that the feed does not carry t, which the next step looks at
// again. The caller holds the lock.
func (i *interest) absent(t *topic) {
	t.there = false
	t.await()
	i.touch(t)
}

// add adds topics. Where the broker refuses, it finds out which ones: one channel
// must not keep the others waiting. After maxRefusals the rest waits for the next
// step: a driver that fails at everything is not to be asked for each channel alone.
func (i *interest) add(feed broker.Feed, topics []*topic, refusals *int) error {
	ctx, cancel := context.WithTimeout(i.ctx, attemptTimeout)
	err := i.noteEnds(ctx, topics)
	if err == nil {
		err = feed.Add(ctx, names(topics)...)
	}
	cancel()
	switch {
	case err == nil:
		i.confirm(topics, nil)
		return nil
	case backfill.ConcernsAll(err) || *refusals == maxRefusals:
		i.failed(err)
		i.log.Debug("hub: subscribe failed, trying again", "channels", len(topics), "error", err)
		return err
	case len(topics) > 1:
		half := len(topics) / 2
		return errors.Join(i.add(feed, topics[:half], refusals), i.add(feed, topics[half:], refusals))
	case topics[0].listen != nil: // the heartbeat's: without it a hub is not ready
		i.failed(err)
		return err
	}
	i.log.Error("hub: the broker refuses a channel", "error", err)
	if !errors.Is(err, broker.ErrDenied) {
		*refusals++
	}
	i.confirm(topics, err)
	return nil
}

// noteEnds notes where the history of topics ends before they are subscribed: what is
// lost before the first message of a channel is seen from that.
func (i *interest) noteEnds(ctx context.Context, topics []*topic) error {
	if i.filler == nil {
		return nil
	}
	return i.filler.Begin(ctx, tracks(topics)...)
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
func (i *interest) carried() []*backfill.Channel {
	i.mu.RLock()
	defer i.mu.RUnlock()
	var topics []*topic
	for _, t := range i.topics {
		if t.there {
			topics = append(topics, t)
		}
	}
	return tracks(topics)
}

// confirm tells those who wait for topics that they are there, or refused, and
// those who have waited through the end of a feed that messages may be missing.
func (i *interest) confirm(topics []*topic, refused error) {
	if holed := i.settle(topics, refused); len(holed) > 0 {
		i.tell(&broker.GapError{Channels: holed, Reason: broker.LinkLost})
	}
}

// settle does what confirm says but for the telling. It returns whom to tell.
func (i *interest) settle(topics []*topic, refused error) (holed []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, t := range topics {
		t.there, t.stale = refused == nil, false
		if t.holed && t.there {
			t.holed = false
			holed = append(holed, t.name)
		}
		t.confirmed.err = refused
		close(t.confirmed.done)
		delete(i.changed, t)
		switch {
		case t.refs == 0:
			i.touch(t)
		case !t.there: // there may be subscribers of an earlier feed
			t.later = time.Now().Add(retryAfter)
			if errors.Is(refused, broker.ErrDenied) {
				t.later = time.Now().Add(retryDenied)
			}
			i.touch(t)
		}
	}
	return holed
}

// reopen replaces a feed that has ended by itself. All that it carried is to be
// added again, and messages may be missing: from now on, which is told at once,
// until it is there again, which confirm tells. It returns nil when the hub
// closes.
func (i *interest) reopen(cause error) broker.Feed {
	i.log.Error("hub: the broker's feed has ended, opening another", "error", cause)
	i.lostAll()
	for pause := (backoff.Backoff{}); ; {
		feed, err := i.broker.Feed(i.ctx)
		if err == nil {
			i.mu.Lock()
			i.feed = feed
			i.mu.Unlock()
			return feed
		}
		if !pause.Wait(i.ctx) {
			return nil
		}
	}
}

func (i *interest) lostAll() {
	i.mu.Lock()
	var carried []string
	for _, t := range i.topics {
		if t.there {
			carried = append(carried, t.name)
			t.holed = true
		}
		i.absent(t)
		t.stale, t.later = false, time.Time{}
	}
	i.mu.Unlock()
	i.tell(&broker.GapError{Channels: carried, Reason: broker.LinkLost})
}

func names(topics []*topic) []string {
	names := make([]string, len(topics))
	for i, t := range topics {
		names[i] = t.name
	}
	return names
}
