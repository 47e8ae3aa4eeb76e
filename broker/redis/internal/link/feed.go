package link

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// Options are the settings of a Feed.
type Options struct {
	Settings wire.Settings                             // of its connections
	Connect  func(context.Context) (*wire.Conn, error) // makes one, within DialTimeout
	Prefix   string                                    // of every channel name on Redis

	// Heartbeat is how long a connection may be silent before Redis is asked for a sign
	// of life, and then how long that may take.
	Heartbeat time.Duration

	History  History     // nil where none is kept
	Restored func()      // called when all is there again that a link had lost; nil tells nobody
	Reject   func()      // called for a message whose position is not believed
	Closed   func(*Feed) // called when it is closed and nothing of it runs any more
	Logger   *slog.Logger
}

// A History is what a Feed needs to know of one. Methods may be called concurrently.
type History interface {
	// Meet learns the secret of what will come over a new link.
	Meet(ctx context.Context) error

	Secrets() *seal.Secrets

	// Note is told each position that is heard.
	Note(broker.Position)
}

// A Feed is one connection to Redis at a time and the channels that it carries. It
// implements [broker.Feed].
//
// On Redis a channel is called by its topic, which is the prefix and the name.
type Feed struct {
	opts  Options
	queue *broker.Queue

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	done   chan struct{} // closed when nothing of the Feed runs any more

	mu   sync.Mutex
	kept map[string]struct{} // topics that every new link restores
	link *link               // the present one, or the next to be made

	newest seal.Witness // of what was heard

	up atomic.Bool // see IsUp
}

// New opens a Feed. It does not wait for Redis. The caller closes it.
func New(o Options) *Feed {
	f := &Feed{
		opts:  o,
		queue: broker.NewQueue(),
		done:  make(chan struct{}),
		kept:  map[string]struct{}{},
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	f.link = newLink(f)
	go f.supervise()
	return f
}

// Subscribe implements broker.Feed. Where the link is down it waits for the attempt
// that is under way, or the next, and shares its fate.
func (f *Feed) Subscribe(ctx context.Context, channels ...string) error {
	if slices.Contains(channels, "") {
		return fmt.Errorf("redis: subscribe: %w", reply.ErrNoName)
	}
	if ctx.Err() != nil && f.ctx.Err() == nil { // ahead of what Redis may answer before anybody looks
		return fmt.Errorf("redis: subscribe: %w", ctx.Err())
	}
	topics := f.topics(channels)
	for {
		again, err := f.add(ctx, topics)
		if err != nil && f.ctx.Err() != nil {
			err = broker.ErrClosed // and not what became of the link because of it
		}
		if err != nil {
			return fmt.Errorf("redis: subscribe: %w", err)
		}
		if !again {
			return nil
		}
	}
}

// add is one try of Subscribe. It asks for another where a topic was in a command of
// another caller's that Redis refused: that may have been for the other topics.
func (f *Feed) add(ctx context.Context, topics []string) (again bool, err error) {
	l, err := f.current(ctx)
	if err != nil {
		return false, err
	}
	c, err := l.claim(topics)
	if err != nil {
		return false, err
	}
	for _, cmd := range c.commands {
		if err = f.wait(ctx, l, cmd); err != nil {
			again = isClosed(cmd.done) && !c.own[cmd]
			break
		}
	}
	if err = l.settle(c, err); again {
		return true, nil
	}
	return false, err
}

// Unsubscribe implements broker.Feed.
func (f *Feed) Unsubscribe(ctx context.Context, channels ...string) error {
	if f.ctx.Err() != nil {
		return fmt.Errorf("redis: unsubscribe: %w", broker.ErrClosed)
	}
	l, commands := f.drop(f.topics(channels))
	for _, cmd := range commands {
		err := f.wait(ctx, l, cmd)
		lost := !l.alive() && f.ctx.Err() == nil // then Redis has forgotten them too
		if err != nil && !lost {
			return fmt.Errorf("redis: unsubscribe: %w", err)
		}
	}
	return nil
}

// Next implements broker.Feed.
func (f *Feed) Next() (broker.Message, error) { return f.queue.Next() }

// Close implements broker.Feed.
func (f *Feed) Close() error {
	f.cancel()
	f.queue.Close(broker.ErrClosed)
	<-f.done
	f.opts.Closed(f)
	return nil
}

// IsUp reports whether the link stands, with all that the Feed carries.
func (f *Feed) IsUp() bool { return f.up.Load() }

// current waits until the link stands.
func (f *Feed) current(ctx context.Context) (*link, error) {
	f.mu.Lock()
	l := f.link
	f.mu.Unlock()
	return l, f.await(ctx, l, l.up)
}

// wait waits until Redis has answered cmd, and returns its refusal.
func (f *Feed) wait(ctx context.Context, l *link, cmd *command) error {
	if err := f.await(ctx, l, cmd.done); err != nil {
		return err
	}
	return cmd.err
}

// await waits for event, or for what makes waiting for it futile.
func (f *Feed) await(ctx context.Context, l *link, event <-chan struct{}) error {
	select {
	case <-f.ctx.Done():
	case <-ctx.Done():
	case <-l.lost:
	case <-event:
	}
	switch { // several may be true
	case f.ctx.Err() != nil:
		return broker.ErrClosed
	case isClosed(event):
		return nil
	case !l.alive():
		return l.err
	default:
		return ctx.Err()
	}
}

// drop forgets topics, and unsubscribes from them where the link has them.
func (f *Feed) drop(topics []string) (*link, []*command) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, t := range topics {
		delete(f.kept, t)
	}
	return f.link, f.link.unsubscribe(topics)
}

// replace makes the next link after l was lost because of err.
func (f *Feed) replace(l *link, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	l.err = err
	close(l.lost)
	f.link = newLink(f)
}

// Doubt reports all that the link carries as if it had been lost: some of what was
// ignored may have been authentic.
func (f *Feed) Doubt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	var channels []string
	for topic, s := range f.link.subs {
		if s.confirmed {
			channels = append(channels, f.channel(topic))
		}
	}
	f.queue.Gap(broker.LinkLost, channels...)
}

// Cleared reports that the history of a channel was cleared, where the link carries it. What
// was heard last of that is no witness any more.
func (f *Feed) Cleared(channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.link.subs[f.opts.Prefix+channel]; s != nil && s.confirmed {
		f.queue.Gap(broker.Cleared, channel)
	}
	if f.newest.Channel == channel {
		f.newest = seal.Witness{}
	}
}

// Witness is that of what f has heard last.
func (f *Feed) Witness() seal.Witness {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.newest
}

// hear notes what is heard. The caller holds the lock.
func (f *Feed) hear(channel string, s seal.Sealed) {
	f.opts.History.Note(s.Position)
	if seal.Testifies(channel) {
		f.newest = seal.Witness{Channel: channel, Sealed: s, Seen: time.Now()}
	}
}

// topics returns the channels as Redis calls them, each once.
func (f *Feed) topics(channels []string) []string {
	topics := make([]string, 0, len(channels))
	seen := make(map[string]struct{}, len(channels))
	for _, c := range channels {
		if _, twice := seen[c]; !twice {
			seen[c] = struct{}{}
			topics = append(topics, f.opts.Prefix+c)
		}
	}
	return topics
}

func (f *Feed) channel(topic string) string { return strings.TrimPrefix(topic, f.opts.Prefix) }

func isClosed(event <-chan struct{}) bool {
	select {
	case <-event:
		return true
	default:
		return false
	}
}
