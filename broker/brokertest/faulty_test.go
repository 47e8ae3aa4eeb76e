package brokertest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// faults are the ways to break a correct node, each with the cases that must
// find it. The variables of a fault belong to one node, or to one Feed.
var faults = []struct {
	name    string
	cases   []string
	corrupt func(broker.Broker) broker.Broker
}{
	{"loses-first", []string{"AddThenPublish", "AddAgain", "RemovedIsSilent", "Histories"}, onFeed(losesFirst)},
	{"doubles", []string{"ConcurrentAdds", "AddAgain", "Histories"}, onFeed(doubles)},
	{"never-removes", []string{"RemovedIsSilent", "Contexts", "ManyChannels", "Histories"}, onFeed(neverRemoves)},
	{"deaf-when-added-again", []string{"RemovedIsSilent", "Histories"}, onFeed(deafWhenAddedAgain)},
	{"adds-300-at-most", []string{"ManyChannels"}, onFeed(addsFew)},
	{"adds-until-error", []string{"EmptyName"}, onFeed(addsUntilError)},
	{"add-ends-with-context", []string{"Contexts"}, onFeed(endsWithContext)},
	{"refuses-to-remove-unknown", []string{"AddAgain", "ConcurrentUse"}, onFeed(refusesUnknown)},
	{"binary-is-text", []string{"Payloads"}, onMessage(func(m *broker.Message) { m.Binary = false })},
	{"cuts-at-NUL", []string{"Payloads"}, onMessage(func(m *broker.Message) { m.Data, _, _ = bytes.Cut(m.Data, []byte{0}) })},
	{"opens-strange-envelopes", []string{"Payloads"}, onMessage(func(m *broker.Message) { *m = broker.ParseWire(m.Channel, m.Data) })},
	{"reuses-memory", []string{"Payloads"}, onFeed(reusesMemory)},
	{"swallows-gaps", []string{"Overrun", "LinkLost"}, onFeed(swallowsGaps)},
	{"nameless-gaps", []string{"Overrun", "LinkLost"}, onFeed(namelessGaps)},
	{"one-reader-stops-all", []string{"Overrun"}, oneReaderStopsAll},
	{"close-leaves-Next", []string{"CloseFeed"}, onFeed(closeLeavesNext)},
	{"close-leaves-feeds", []string{"CloseBroker", "UseAfterClose"}, closeLeavesFeeds},
	{"ends-with-EOF", []string{"CloseFeed", "CloseBroker", "UseAfterClose", "CloseDuringCalls"}, onFeed(endsWithEOF)},
	{"closes-once", []string{"UseAfterClose"}, onFeed(closesOnce)},
	{"shared-removes", []string{"FeedsAreIndependent", "Histories"}, sharedRemoves},
	{"nodes-apart", []string{"EveryNodeHears", "AddThenPublish", "Histories"}, func(broker.Broker) broker.Broker { return NewBackend().Open() }},
	{"reorders", []string{"Order", "Histories"}, reorders},
	{"folds-case", []string{"ChannelNames"}, foldsCase},
	{"patterns", []string{"OtherChannels"}, patterns},
	{"ignores-contexts", []string{"Contexts"}, ignoresContexts},
}

// names is a set of channels for concurrent use.
type names struct{ sync.Map }

func (n *names) put(channels ...string) {
	for _, c := range channels {
		n.Store(c, true)
	}
}

func (n *names) has(channel string) bool { _, ok := n.Load(channel); return ok }

func losesFirst(f *brokenFeed) {
	var fresh names
	f.add = func(ctx context.Context, channels ...string) error {
		fresh.put(channels...)
		return f.Feed.Add(ctx, channels...)
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
		return f.Feed.Add(ctx, channels...)
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
				if err := f.Feed.Add(ctx, c); err != nil {
					return err
				}
			}
		}
		return nil
	}
	f.remove = func(ctx context.Context, channels ...string) error {
		removed.put(channels...)
		return f.Feed.Remove(ctx, channels...)
	}
}

func addsFew(f *brokenFeed) {
	f.add = func(ctx context.Context, channels ...string) error {
		return f.Feed.Add(ctx, channels[:min(len(channels), 300)]...)
	}
}

func addsUntilError(f *brokenFeed) {
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if err := f.Feed.Add(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}
}

func endsWithContext(f *brokenFeed) {
	var contexts sync.Map // of Add, by channel
	f.add = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			contexts.Store(c, ctx)
		}
		return f.Feed.Add(ctx, channels...)
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
		return f.Feed.Add(ctx, channels...)
	}
	f.remove = func(ctx context.Context, channels ...string) error {
		for _, c := range channels {
			if _, there := added.LoadAndDelete(c); !there {
				return errors.New("not there")
			}
		}
		return f.Feed.Remove(ctx, channels...)
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
	f.add = func(ctx context.Context, channels ...string) error { return strange(f.Feed.Add(ctx, channels...)) }
	f.remove = func(ctx context.Context, channels ...string) error { return strange(f.Feed.Remove(ctx, channels...)) }
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

func closeLeavesFeeds(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b, close: func() error { return nil }}
}

func sharedRemoves(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	var all []*brokenFeed
	return &brokenBroker{Broker: b, feed: func(inner broker.Feed) broker.Feed {
		mu.Lock()
		defer mu.Unlock()
		f := &brokenFeed{Feed: inner}
		all = append(all, f)
		f.remove = func(ctx context.Context, channels ...string) error {
			mu.Lock()
			defer mu.Unlock()
			for _, other := range all {
				if err := other.Feed.Remove(ctx, channels...); other == f && err != nil {
					return err
				}
			}
			return nil
		}
		return f
	}}
}

func reorders(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	var held *broker.Message
	return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		if held == nil {
			held = &m
			return broker.Receipt{}, nil
		}
		receipt, err := b.Publish(ctx, m)
		if err == nil {
			receipt, err = b.Publish(ctx, *held)
		}
		held = nil
		return receipt, err
	}}
}

func foldsCase(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b,
		publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			m.Channel = strings.ToLower(m.Channel)
			return b.Publish(ctx, m)
		},
		feed: func(inner broker.Feed) broker.Feed {
			f := &brokenFeed{Feed: inner}
			f.add = func(ctx context.Context, channels ...string) error {
				for _, c := range channels {
					if err := inner.Add(ctx, strings.ToLower(c)); err != nil {
						return err
					}
				}
				return nil
			}
			return f
		},
	}
}

// patternNames are what the Feeds of all nodes have added.
var patternNames names

func patterns(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b,
		publish: func(ctx context.Context, m broker.Message) (receipt broker.Receipt, err error) {
			patternNames.Range(func(p, _ any) bool {
				if matches, _ := path.Match(p.(string), m.Channel); matches && p != m.Channel {
					_, _ = b.Publish(ctx, broker.Message{Channel: p.(string), Data: m.Data})
				}
				return true
			})
			return b.Publish(ctx, m)
		},
		feed: func(inner broker.Feed) broker.Feed {
			f := &brokenFeed{Feed: inner}
			f.add = func(ctx context.Context, channels ...string) error {
				patternNames.put(channels...)
				return inner.Add(ctx, channels...)
			}
			return f
		},
	}
}

func ignoresContexts(b broker.Broker) broker.Broker {
	return &brokenBroker{Broker: b, publish: func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		return b.Publish(context.WithoutCancel(ctx), m)
	}}
}

// oneReaderStopsAll gives all Feeds of a node one goroutine that hands out what
// arrives, and waits for the slowest.
func oneReaderStopsAll(b broker.Broker) broker.Broker {
	var mu sync.Mutex
	return &brokenBroker{Broker: b, feed: func(inner broker.Feed) broker.Feed {
		f := &brokenFeed{Feed: inner}
		out, quit := make(chan broker.Message, 100), make(chan struct{})
		go func() {
			for {
				m, err := inner.Next()
				if err != nil {
					return
				}
				mu.Lock()
				select {
				case out <- m:
				case <-quit:
				}
				mu.Unlock()
			}
		}()
		f.next = func() (broker.Message, error) {
			select {
			case m := <-out:
				return m, nil
			case <-quit:
				return broker.Message{}, broker.ErrClosed
			}
		}
		f.close = sync.OnceValue(func() error { close(quit); return inner.Close() })
		return f
	}}
}
