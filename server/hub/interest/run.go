package interest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

const (
	attemptTimeout = 5 * time.Second  // one call of Subscribe or Unsubscribe
	retryAfter     = time.Second      // after which what has failed for one channel is tried again
	retryDenied    = 30 * time.Second // likewise, where permission is missing
	maxNames       = 1000             // that the broker is asked for at once
	maxRefusals    = 16               // channels that are refused in one step, other than for want of permission
)

// Run has the feed carry what is wanted, until ctx ends. It owns the feed, the reader of it, and
// what comes after a feed that ended by itself. It is called once.
func (i *Interest) Run(ctx context.Context) {
	defer close(i.closed)
	feed := i.current()
	stop := i.read(ctx, feed)
	defer func() { stop() }() // the newest one
	var pause retry.Backoff
	for {
		again, err := i.step(ctx, feed)
		wake := i.wake
		if err != nil {
			again, wake = pause.Next(), nil
		} else {
			pause.Reset()
		}
		select {
		case <-wake:
		case <-after(again):
		case err := <-i.ended:
			stop()
			if feed = i.reopen(ctx, err); feed == nil {
				return
			}
			stop = i.read(ctx, feed)
		case <-ctx.Done():
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

// read starts the reader of feed. The function that it returns closes the feed and waits for the
// reader.
func (i *Interest) read(ctx context.Context, feed broker.Feed) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := i.options.Read(feed)
		select {
		case i.ended <- err:
		case <-ctx.Done():
		}
	}()
	return func() {
		if err := feed.Close(); err != nil {
			i.log.Warn("interest: close feed", "error", err)
		}
		<-done
	}
}

// reopen replaces a feed that has ended by itself. All that it carried is to be added again, and
// messages may be missing: from now on, which is told at once, until it is carried again. It
// returns nil when ctx ends.
func (i *Interest) reopen(ctx context.Context, cause error) broker.Feed {
	i.log.Error("interest: the broker's feed has ended, opening another", "error", cause)
	i.options.Lost(i.loseAll()...)
	for pause := (retry.Backoff{}); ; {
		feed, err := i.options.Broker.Feed(ctx)
		if err == nil {
			i.mu.Lock()
			i.feed = feed
			i.mu.Unlock()
			return feed
		}
		if !pause.Wait(ctx) {
			return nil
		}
	}
}

// loseAll notes that nothing is carried, and returns what was.
func (i *Interest) loseAll() (carried []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for w := range i.wants {
		if w.carried {
			carried = append(carried, w.name)
			w.lost = true
		}
		i.drop(w)
		w.stale, w.later = false, time.Time{}
	}
	return carried
}

// step brings the feed up to what is wanted now, as far as it can. It returns when to look again
// for channels that are unused but not for long enough, or that the broker has refused, 0 for
// never.
func (i *Interest) step(ctx context.Context, feed broker.Feed) (again time.Duration, err error) {
	p := i.plan(time.Now())
	for _, w := range p.gone {
		i.options.Gone(w)
	}
	for some := range slices.Chunk(p.remove, maxNames) {
		if !i.remove(ctx, feed, some) {
			break // the others are tried in the next step
		}
	}
	for some := range slices.Chunk(p.add, maxNames) {
		refusals := 0
		if err = errors.Join(err, i.add(ctx, feed, some, &refusals)); err != nil && retry.ConcernsAll(err) {
			break
		}
	}
	return p.again, err
}

// A plan is what a step is to do.
type plan struct {
	add, remove, gone []*Want
	again             time.Duration // when to look again, 0 for never
}

// due reports whether a time has come. Where it has not, the plan is looked at again then.
func (p *plan) due(at, now time.Time) bool {
	left := at.Sub(now)
	if left > 0 && (p.again == 0 || left < p.again) {
		p.again = left
	}
	return left <= 0
}

// plan compares what is wanted with what is carried.
func (i *Interest) plan(now time.Time) (p plan) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for w := range i.changed {
		switch {
		case w.refs > 0 && w.carried:
			delete(i.changed, w)
		case w.refs > 0:
			if p.due(w.later, now) {
				w.askAgain() // only now: one who asks before then is told of the refusal
				p.add = append(p.add, w)
			}
		case !w.carried && !w.stale: // it is removed, or nobody waited until it was confirmed
			delete(i.changed, w)
			delete(i.wants, w)
			p.gone = append(p.gone, w)
		case !w.carried:
			if p.due(w.later, now) {
				p.remove = append(p.remove, w)
			}
		case p.due(w.unused.Add(i.options.UnsubscribeDelay), now):
			i.drop(w) // from now on: a client that comes while it is removed is to wait
			w.stale = true
			p.remove = append(p.remove, w)
		}
	}
	return p
}

// remove removes channels, and reports whether that succeeded. What fails is tried again, later,
// so that the others are not kept waiting.
func (i *Interest) remove(ctx context.Context, feed broker.Feed, wants []*Want) bool {
	i.options.Leave(names(wants)...)
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	err := feed.Unsubscribe(attempt, names(wants)...)
	cancel()
	if err != nil && ctx.Err() == nil {
		i.log.Warn("interest: unsubscribe failed, trying again", "channels", len(wants), "error", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range wants {
		if w.stale = err != nil; w.stale && w.refs == 0 {
			w.later = time.Now().Add(retryAfter)
		}
		i.touch(w)
	}
	return err == nil
}

// add adds channels. Where the broker refuses, it finds out which ones: one channel must not keep
// the others waiting. After maxRefusals the rest waits for the next step: a driver that fails at
// everything is not to be asked for each channel alone.
func (i *Interest) add(ctx context.Context, feed broker.Feed, wants []*Want, refusals *int) error {
	attempt, cancel := context.WithTimeout(ctx, attemptTimeout)
	err := i.options.Prepare(attempt, names(wants)...)
	if err == nil {
		err = feed.Subscribe(attempt, names(wants)...)
	}
	cancel()
	switch {
	case err == nil:
		i.settle(wants, nil)
		return nil
	case ctx.Err() != nil: // Run ends: that is no failure of the broker's
		return ctx.Err()
	case retry.ConcernsAll(err) || *refusals == maxRefusals:
		i.options.Failed(err)
		i.log.Debug("interest: subscribe failed, trying again", "channels", len(wants), "error", err)
		return err
	case len(wants) > 1:
		half := len(wants) / 2
		return errors.Join(i.add(ctx, feed, wants[:half], refusals), i.add(ctx, feed, wants[half:], refusals))
	case wants[0].vital:
		i.options.Failed(err)
		return err
	}
	i.log.Error("interest: the broker refuses a channel", "error", err)
	if !errors.Is(err, broker.ErrDenied) {
		*refusals++
	}
	i.settle(wants, err)
	return nil
}

// settle tells those who wait for channels that they are carried, or refused, and those who have
// waited through the end of a feed that messages may be missing.
func (i *Interest) settle(wants []*Want, refused error) {
	if lost := i.answer(wants, refused); len(lost) > 0 {
		i.options.Lost(lost...)
	}
}

// answer does what settle says but for the telling. It returns whom to tell.
func (i *Interest) answer(wants []*Want, refused error) (lost []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, w := range wants {
		w.carried, w.stale = refused == nil, false
		if w.lost && w.carried {
			w.lost = false
			lost = append(lost, w.name)
		}
		w.answer.err = refused
		close(w.answer.done)
		delete(i.changed, w)
		if w.refs > 0 && !w.carried { // there may be subscribers of an earlier feed
			w.later = time.Now().Add(retryAfter)
			if errors.Is(refused, broker.ErrDenied) {
				w.later = time.Now().Add(retryDenied)
			}
		}
		if w.refs == 0 || !w.carried {
			i.touch(w)
		}
	}
	return lost
}
