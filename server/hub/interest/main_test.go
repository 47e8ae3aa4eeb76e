package interest_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/interest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const linger = 2 * time.Second

// A backend is a broker whose feeds say which channels they carry, and fail as a test says.
type backend struct {
	broker.Broker

	mu      sync.Mutex
	carried map[string]bool               // by the feed there is
	refuse  func(channels []string) error // what Subscribe and Unsubscribe return, where not nil
	first   func()                        // what Unsubscribe does first, where not nil
	feed    *feed
}

func (b *backend) Feed(context.Context) (broker.Feed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.carried = map[string]bool{}
	b.feed = &feed{backend: b, end: make(chan error, 2)}
	return b.feed, nil
}

func (b *backend) failing(refuse func(channels []string) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuse = refuse
}

func (b *backend) removing(first func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.first = first
}

// forget drops a channel as a backend does that does not allow it any more.
func (b *backend) forget(channel string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.carried, channel)
}

func (b *backend) carries(channel string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.carried[channel]
}

// endFeed ends the feed as the backend does.
func (b *backend) endFeed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.carried)
	b.feed.finish(errors.New("the backend is gone"))
}

type feed struct {
	*backend
	end chan error
}

func (f *feed) finish(err error) {
	select {
	case f.end <- err:
	default:
	}
}

func (f *feed) Subscribe(_ context.Context, channels ...string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(channels); err != nil {
			return err
		}
	}
	if f.feed != f {
		return broker.ErrClosed
	}
	for _, c := range channels {
		f.carried[c] = true
	}
	return nil
}

func (f *feed) Unsubscribe(_ context.Context, channels ...string) error {
	f.mu.Lock()
	first := f.first
	f.mu.Unlock()
	if first != nil {
		first()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		if err := f.refuse(channels); err != nil {
			return err
		}
	}
	for _, c := range channels {
		delete(f.carried, c)
	}
	return nil
}

func (f *feed) Next() (broker.Message, error) { return broker.Message{}, <-f.end }
func (f *feed) Close() error                  { f.finish(broker.ErrClosed); return nil }

// A stage is an Interest that runs, and what it has said.
type stage struct {
	*interest.Interest
	*backend

	said struct {
		sync.Mutex
		prepared, left, lost, gone []string
		failed                     error
	}
}

// play runs test with an Interest, in a bubble of its own time.
func play(t *testing.T, test func(t *testing.T, s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { s.Run(ctx) })
		test(t, s)
		cancel()
		running.Wait()
	})
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{backend: &backend{}}
	note := func(to *[]string) func(...string) {
		return func(channels ...string) {
			s.said.Lock()
			defer s.said.Unlock()
			*to = append(*to, channels...)
		}
	}
	gone := note(&s.said.gone)
	i, err := interest.New(t.Context(), interest.Options{
		Broker: s.backend, Logger: slog.New(slog.DiscardHandler), UnsubscribeDelay: linger,
		Read: func(f broker.Feed) error {
			for {
				if _, err := f.Next(); err != nil {
					return err
				}
			}
		},
		Prepare: func(_ context.Context, channels ...string) error { note(&s.said.prepared)(channels...); return nil },
		Leave:   note(&s.said.left),
		Lost:    note(&s.said.lost),
		Gone:    func(w *interest.Want) { gone(w.Name()) },
		Failed: func(err error) {
			s.said.Lock()
			defer s.said.Unlock()
			s.said.failed = err
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Interest = i
	return s
}

// heard returns what was said by one of the functions since it was asked last.
func (s *stage) heard(of *[]string) []string {
	s.said.Lock()
	defer s.said.Unlock()
	defer func() { *of = nil }()
	slices.Sort(*of)
	return *of
}

// want acquires a channel and waits for the broker's answer.
func (s *stage) want(t *testing.T, name string) (*interest.Want, error) {
	t.Helper()
	w := s.Channel(name)
	s.Acquire(w)
	return w, s.Confirm(t.Context(), w)[0]
}

// refusing is a failure of the channels named.
func refusing(err error, names ...string) func([]string) error {
	return func(channels []string) error {
		for _, c := range channels {
			if slices.Contains(names, c) {
				return err
			}
		}
		return nil
	}
}
