package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// Bounds of the pauses between attempts to connect.
const (
	minPause = 50 * time.Millisecond
	maxPause = 500 * time.Millisecond
)

// A Feed hears its channels over one connection, which is made anew whenever it was lost.
type Feed struct {
	opts   Options
	seen   *memory
	queue  *broker.Queue
	forget func(*Feed)

	restored func() // called when all is there again that a link had lost
	stood    bool   // a link has stood; the goroutine's that keeps links

	ctx  context.Context // ends with the Feed
	end  context.CancelFunc
	done chan struct{} // closed when nothing of it runs any more

	turn chan struct{} // has a token while the channels are changed by a call

	mu   sync.Mutex
	kept map[string]bool // channels that it carries
	link *link           // the present one
}

func newFeed(o Options, seen *memory, forget func(*Feed), restored func()) *Feed {
	f := &Feed{opts: o, seen: seen, queue: broker.NewQueue(), forget: forget, restored: restored, done: make(chan struct{}),
		turn: make(chan struct{}, 1), kept: map[string]bool{}}
	f.ctx, f.end = context.WithCancel(context.Background())
	f.link = newLink(f)
	go f.supervise()
	return f
}

// supervise keeps a link until the Feed is closed. Between attempts there are pauses at random, so that
// nodes that lost one server do not come back in step.
func (f *Feed) supervise() {
	defer close(f.done)
	ceiling, said := minPause, false
	for l := f.link; f.ctx.Err() == nil; l = f.next() {
		began := time.Now()
		err := l.run(f.ctx)
		if time.Since(began) > maxPause {
			ceiling = minPause
		}
		if l.wasUp() {
			said = false
		}
		if f.ctx.Err() != nil {
			return
		}
		if !said {
			f.opts.logger().Log(f.ctx, levelOf(err), "nats: no link; trying again", "error", err)
			said = true
		}
		ceiling = min(2*ceiling, maxPause)
		select {
		case <-f.ctx.Done():
		case <-time.After(minPause/2 + rand.N(ceiling)):
		}
	}
}

// stands is called when a link has all that the Feed carries.
func (f *Feed) stands() {
	if f.stood {
		f.restored()
	}
	f.stood = true
}

// levelOf returns how a lost link is logged: what somebody has to mend is an error.
func levelOf(err error) slog.Level {
	if errors.Is(err, broker.ErrDenied) {
		return slog.LevelError
	}
	return slog.LevelWarn
}

// next puts a new link in place of the one that is over.
func (f *Feed) next() *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.link = newLink(f)
	return f.link
}

// Subscribe implements broker.Feed.
func (f *Feed) Subscribe(ctx context.Context, channels ...string) error {
	if slices.Contains(channels, "") {
		return fmt.Errorf("nats: subscribe: %w", errNoName)
	}
	return f.change(ctx, "subscribe", func(l *link) error { return l.subscribe(ctx, channels) })
}

// Unsubscribe implements broker.Feed. Where the link is down there is nothing to be told to a server.
func (f *Feed) Unsubscribe(ctx context.Context, channels ...string) error {
	f.mu.Lock()
	for _, c := range channels {
		delete(f.kept, c)
	}
	l := f.link
	f.mu.Unlock()
	l.drop(channels) // whatever the server says, nothing more is delivered
	err := f.change(ctx, "unsubscribe", func(l *link) error { return l.unsubscribe(ctx, channels) })
	if errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// change calls do, one call at a time, with the link when that stands, or returns why it does not.
func (f *Feed) change(ctx context.Context, what string, do func(*link) error) error {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
	case <-f.ctx.Done():
	}
	l := f.present()
	select {
	case <-l.up:
	case <-l.over:
	case <-ctx.Done():
	case <-f.ctx.Done():
	}
	err := l.err()
	switch {
	case f.ctx.Err() != nil:
		err = broker.ErrClosed
	case ctx.Err() != nil:
		err = unsent(ctx)
	case err == nil:
		err = do(l)
	}
	if err != nil && f.ctx.Err() != nil {
		err = broker.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("nats: %s: %w", what, err)
	}
	return nil
}

// isUp reports whether the link stands, with all that the Feed carries.
func (f *Feed) isUp() bool { l := f.present(); return l.wasUp() && l.err() == nil }

func (f *Feed) present() *link {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.link
}

// carries reports whether a channel is one of the Feed's.
func (f *Feed) carries(channel string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept[channel]
}

// channels returns what the Feed carries.
func (f *Feed) channels() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.kept))
}

// keep notes that the Feed carries channels, which l has. Where that is not the present link any more,
// the next one may not know of them.
func (f *Feed) keep(l *link, channels []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.link != l {
		return fmt.Errorf("the connection was lost: %w", broker.ErrUnavailable)
	}
	for _, c := range channels {
		f.kept[c] = true
	}
	return nil
}

// Next implements broker.Feed.
func (f *Feed) Next() (broker.Message, error) { return f.queue.Next() }

// Close implements broker.Feed.
func (f *Feed) Close() error {
	f.queue.Close(fmt.Errorf("nats: %w", broker.ErrClosed))
	f.end()
	<-f.done
	f.forget(f)
	return nil
}
