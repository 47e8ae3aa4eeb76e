package interest

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// Options are what an Interest works with. All are needed. The functions are called by Run's
// goroutine, without any lock.
type Options struct {
	Broker           broker.Broker
	Logger           *slog.Logger
	UnsubscribeDelay time.Duration // how long a channel stays that nobody wants

	// Read reads a feed until it ends, and returns why it did. It has a goroutine of its own,
	// and runs for one feed at a time.
	Read func(feed broker.Feed) error

	// Prepare is called ahead of each attempt to add channels to a feed. Its error counts as one
	// of Subscribe's.
	Prepare func(ctx context.Context, channels ...string) error

	// Leave is called ahead of each attempt to remove channels.
	Leave func(channels ...string)

	// Lost says that messages of channels may be missing from here on, as a feed has ended.
	Lost func(channels ...string)

	// Gone says that a channel is not carried and was not wanted a moment ago.
	Gone func(w *Want)

	// Failed hears why nothing can be added.
	Failed func(err error)
}

// An Interest is what a node wants of a broker.
type Interest struct {
	options Options
	log     *slog.Logger
	wake    chan struct{} // tells Run that changed has something
	ended   chan error    // why a feed has ended by itself
	closed  chan struct{} // when Run has returned

	mu      sync.Mutex
	feed    broker.Feed // the present one; Run replaces it
	wants   map[*Want]struct{}
	changed map[*Want]struct{} // wanted or not is to be compared with carried or not
}

// A Want is a channel that somebody wants, or has wanted lately. All but its name is guarded by
// the Interest's lock.
type Want struct {
	name   string
	vital  bool      // without it nothing works: it is not refused, but tried again
	refs   int       // how many want it
	unused time.Time // since when refs is 0

	carried bool      // by the feed
	stale   bool      // it is not carried any more, but the broker may still send it
	lost    bool      // it was carried by a feed that has ended
	later   time.Time // before which the broker is not asked again, as it has just refused

	answer *answer // to the newest attempt to have it carried
}

// An answer is the broker's, for those who wait. err is set before done is closed, where the
// broker refuses the channel.
type answer struct {
	done chan struct{}
	err  error
}

func newAnswer() *answer { return &answer{done: make(chan struct{})} }

// New returns an Interest with a feed of its own, which Run closes. It does not wait for the
// broker.
func New(ctx context.Context, o Options) (*Interest, error) {
	feed, err := o.Broker.Feed(ctx)
	if err != nil {
		return nil, fmt.Errorf("interest: open feed: %w", err)
	}
	return &Interest{
		options: o, log: o.Logger, feed: feed,
		wake: make(chan struct{}, 1), ended: make(chan error, 1), closed: make(chan struct{}),
		wants: map[*Want]struct{}{}, changed: map[*Want]struct{}{},
	}, nil
}

// Channel returns a Want that nobody wants yet.
func (i *Interest) Channel(name string) *Want { return &Want{name: name, answer: newAnswer()} }

// Vital is Channel for one without which nothing works: where the broker refuses it, that is not
// taken for an answer.
func (i *Interest) Vital(name string) *Want {
	w := i.Channel(name)
	w.vital = true
	return w
}

// Name returns the channel's name.
func (w *Want) Name() string { return w.name }

// Acquire says that one more wants w.
func (i *Interest) Acquire(w *Want) {
	i.mu.Lock()
	defer i.mu.Unlock()
	w.refs++
	i.wants[w] = struct{}{}
	if w.carried {
		return
	}
	w.askAgain() // it may have been refused; permissions may have changed
	w.later = time.Time{}
	i.touch(w)
}

// Release says that one less wants w.
func (i *Interest) Release(w *Want) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if w.refs--; w.refs == 0 {
		w.unused = time.Now()
		i.touch(w)
	}
}

// IsWanted reports whether somebody wants w now.
func (i *Interest) IsWanted(w *Want) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return w.refs > 0
}

// Dropped says that the feed does not carry w any more, as by Unsubscribe. It is asked for again where
// somebody wants it, so that a session that comes now waits for what the broker says then.
func (i *Interest) Dropped(w *Want) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.drop(w)
}

// Carried returns the channels that the feed carries.
func (i *Interest) Carried() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	var names []string
	for w := range i.wants {
		if w.carried {
			names = append(names, w.name)
		}
	}
	return names
}

// drop notes that w is not carried, which the next step looks at again. The caller holds the
// lock.
func (i *Interest) drop(w *Want) {
	w.carried = false
	w.askAgain()
	i.touch(w)
}

// touch has Run look at w. The caller holds the lock.
func (i *Interest) touch(w *Want) {
	i.changed[w] = struct{}{}
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// askAgain makes those who want w wait for the next answer. The caller holds the lock.
func (w *Want) askAgain() {
	select {
	case <-w.answer.done:
		w.answer = newAnswer()
	default: // nobody has had an answer to the last question
	}
}

func names(wants []*Want) []string {
	names := make([]string, len(wants))
	for i, w := range wants {
		names[i] = w.name
	}
	return names
}
