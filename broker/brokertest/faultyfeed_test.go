package brokertest_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// names is a set of channels for concurrent use.
type names struct{ sync.Map }

func (n *names) put(channels ...string) {
	for _, c := range channels {
		n.Store(c, true)
	}
}

func (n *names) list() (all []string) {
	n.Range(func(name, _ any) bool { all = append(all, name.(string)); return true })
	return all
}

func (n *names) has(channel string) bool { _, ok := n.Load(channel); return ok }

func losesFirst(f *brokenFeed) {
	var fresh names
	f.add = func(ctx context.Context, channels ...string) error {
		fresh.put(channels...)
		return f.Feed.Subscribe(ctx, channels...)
	}
	f.next = func() (broker.Message, error) {
		for {
			m, err := f.Feed.Next()
			if _, lost := fresh.LoadAndDelete(m.Channel); !lost || err != nil {
				return m, err
			}
		}
	}
}

func doubles(f *brokenFeed) {
	var once, twice names
	var again *broker.Message
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if _, there := once.LoadOrStore(c, true); there {
				twice.put(c)
			}
		}
		return f.Feed.Subscribe(ctx, channels...)
	}
	f.next = func() (broker.Message, error) {
		if m := again; m != nil {
			again = nil
			return *m, nil
		}
		m, err := f.Feed.Next()
		if err == nil && twice.has(m.Channel) {
			again = &m
		}
		return m, err
	}
}

func neverRemoves(f *brokenFeed) {
	f.remove = func(context.Context, ...string) error { return nil }
}

func deafWhenAddedAgain(f *brokenFeed) {
	var removed names
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if !removed.has(c) {
				if err := f.Feed.Subscribe(ctx, c); err != nil {
					return err
				}
			}
		}
		return nil
	}
	f.remove = func(ctx context.Context, channels ...string) error {
		removed.put(channels...)
		return f.Feed.Unsubscribe(ctx, channels...)
	}
}

func addsFew(f *brokenFeed) {
	f.add = func(ctx context.Context, channels ...string) error {
		return f.Feed.Subscribe(ctx, channels[:min(len(channels), 300)]...)
	}
}

func addsUntilError(f *brokenFeed) {
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if err := f.Feed.Subscribe(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

func endsWithContext(f *brokenFeed) {
	var contexts sync.Map // of Subscribe, by channel
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			contexts.Store(c, ctx)
		}
		return f.Feed.Subscribe(ctx, channels...)
	}
	f.next = func() (broker.Message, error) {
		for {
			m, err := f.Feed.Next()
			if ctx, ok := contexts.Load(m.Channel); !ok || ctx.(context.Context).Err() == nil {
				return m, err
			}
		}
	}
}

func refusesUnknown(f *brokenFeed) {
	var added names
	f.add = func(ctx context.Context, channels ...string) error {
		added.put(channels...)
		return f.Feed.Subscribe(ctx, channels...)
	}
	f.remove = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if _, there := added.LoadAndDelete(c); !there {
				return errors.New("not there")
			}
		}
		return f.Feed.Unsubscribe(ctx, channels...)
	}
}

func reusesMemory(f *brokenFeed) {
	var buffer [2 << 20]byte
	f.next = func() (broker.Message, error) {
		m, err := f.Feed.Next()
		m.Data = buffer[:copy(buffer[:], m.Data)]
		return m, err
	}
}

// remembersAuthors takes the author of a message without one from the message before.
func remembersAuthors(f *brokenFeed) {
	var last *broker.Author
	f.next = func() (broker.Message, error) {
		m, err := f.Feed.Next()
		if m.By == nil {
			m.By = last
		}
		last = m.By
		return m, err
	}
}

// remembersTraces takes the trace of a message without one from the message before.
func remembersTraces(f *brokenFeed) {
	var last string
	f.next = func() (broker.Message, error) {
		m, err := f.Feed.Next()
		if m.Traceparent == "" {
			m.Traceparent = last
		}
		last = m.Traceparent
		return m, err
	}
}

func swallowsGaps(f *brokenFeed) {
	f.next = func() (broker.Message, error) {
		for {
			m, err := f.Feed.Next()
			if gap := (*broker.GapError)(nil); !errors.As(err, &gap) {
				return m, err
			}
		}
	}
}

func namelessGaps(f *brokenFeed) {
	f.next = func() (broker.Message, error) {
		m, err := f.Feed.Next()
		if gap := (*broker.GapError)(nil); errors.As(err, &gap) {
			gap.Channels = nil
		}
		return m, err
	}
}

func closeLeavesNext(f *brokenFeed) {
	f.close = func() error { return nil }
}

func endsWithEOF(f *brokenFeed) {
	strange := func(err error) error {
		if errors.Is(err, broker.ErrClosed) {
			return io.EOF
		}
		return err
	}
	f.add = func(ctx context.Context, channels ...string) error {
		return strange(f.Feed.Subscribe(ctx, channels...))
	}
	f.remove = func(ctx context.Context, channels ...string) error {
		return strange(f.Feed.Unsubscribe(ctx, channels...))
	}
	f.next = func() (broker.Message, error) { m, err := f.Feed.Next(); return m, strange(err) }
}

func closesOnce(f *brokenFeed) {
	var closed atomic.Bool
	f.close = func() error {
		if closed.Swap(true) {
			return errors.New("closed already")
		}
		return f.Feed.Close()
	}
}
