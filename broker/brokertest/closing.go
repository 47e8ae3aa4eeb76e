package brokertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/pregon/pregon/broker"
)

func testCloseFeed(f *fixture) {
	node := f.node()
	lasting := f.read(f.feed(node, "chat"))
	for round := range scaled(50) {
		feed := f.feed(node, "chat")
		r := f.read(feed)
		hello := f.say(node, "chat", fmt.Sprintf("round %d", round))
		lasting.hear(hello)
		r.hear(hello)
		f.closes("Feed.Close", feed.Close)
		r.ended()
		lasting.hear(f.say(node, "chat", fmt.Sprintf("round %d is over", round)))
	}
}

func testCloseBroker(f *fixture) {
	other := f.node()
	lasting := f.read(f.feed(other, "chat"))
	for round := range scaled(20) {
		node := f.node()
		readers := []*reader{f.read(f.feed(node, "chat")), f.read(f.feed(node, "chat", "news")), f.read(f.feed(node))}
		hello := f.say(node, "chat", fmt.Sprintf("round %d", round))
		lasting.hear(hello)
		readers[0].hear(hello)
		readers[1].hear(hello)
		f.closes("Broker.Close", node.Close)
		for _, r := range readers {
			r.ended()
		}
		lasting.hear(f.say(other, "chat", fmt.Sprintf("round %d is over", round)))
	}
}

func testCloseDuringCalls(f *fixture) {
	const callers = 8
	for range scaled(20) {
		node := f.node()
		feed := f.feed(node, "chat")
		r := f.read(feed)
		wait := f.begin(callers, func(i int) error {
			for k := 0; ; k++ {
				if err := anyCall(f.Context(), node, feed, (i+k)%3, strconv.Itoa(i)); errors.Is(err, broker.ErrClosed) {
					return nil
				} else if err != nil && !errors.Is(err, broker.ErrUncertain) {
					return err
				}
			}
		})
		r.message()
		closing := f.begin(2, func(int) error { return node.Close() })
		closing()
		wait()
	}
}

// anyCall makes the call that which chooses.
func anyCall(ctx context.Context, node broker.Broker, feed broker.Feed, which int, channel string) error {
	switch which {
	case 0:
		return add(ctx, feed, channel)
	case 1:
		return remove(ctx, feed, channel)
	default:
		return publish(ctx, node, "chat", "hello")
	}
}

func testUseAfterClose(f *fixture) {
	ctx := f.Context()
	node, other := f.node(), f.node()
	closed, orphan := f.feed(other, "chat"), f.feed(node, "chat")
	f.closes("Feed.Close", closed.Close)
	f.closes("Broker.Close", node.Close)
	for what, call := range map[string]func() error{
		"Publish of a closed Broker":             func() error { return publish(ctx, node, "chat", "late") },
		"Feed of a closed Broker":                func() error { _, err := node.Feed(ctx); return err },
		"Subscribe to a closed Feed":             func() error { return closed.Subscribe(ctx, "late") },
		"Unsubscribe from a closed Feed":         func() error { return closed.Unsubscribe(ctx, "chat") },
		"Next of a closed Feed":                  func() error { _, err := closed.Next(); return err },
		"Next of a closed Feed, again":           func() error { _, err := closed.Next(); return err },
		"Subscribe to a closed Broker's Feed":    func() error { return orphan.Subscribe(ctx, "late") },
		"Unsubscribe from a closed Broker's one": func() error { return orphan.Unsubscribe(ctx, "chat") },
		"Next of a closed Broker's Feed":         func() error { _, err := orphan.Next(); return err },
	} {
		if err, ok := within(call); !ok {
			f.Errorf("%s did not return within %v", what, guard)
		} else if !errors.Is(err, broker.ErrClosed) {
			f.Errorf("%s: %v; want ErrClosed", what, err)
		}
	}
	f.closes("Feed.Close again", closed.Close)
	f.closes("Broker.Close again", node.Close)
	f.closes("Feed.Close after Broker.Close", orphan.Close)
}

// Goroutines use one Broker and one Feed, and open Feeds of their own, at random.
// The case is there for the race detector; the Feed must still work at its end.
func testConcurrentUse(f *fixture) {
	const goroutines = 8
	node := f.node()
	shared := f.feed(node, "kept")
	r := f.read(shared)
	wait := f.begin(goroutines, func(i int) error {
		rng := rand.New(rand.NewPCG(uint64(i), 0))
		for range scaled(300) {
			if rng.IntN(10) == 0 {
				if err := briefFeed(f.Context(), node); err != nil {
					return err
				}
			} else if err := anyCall(f.Context(), node, shared, rng.IntN(3), strconv.Itoa(rng.IntN(3))); err != nil {
				return err
			}
		}
		return nil
	})
	wait()
	r.hear(f.say(node, "kept", "end"))
}

// briefFeed opens a Feed and closes it while it is being read.
func briefFeed(ctx context.Context, node broker.Broker) error {
	feed, err := node.Feed(ctx)
	if err != nil {
		return fmt.Errorf("opening a feed: %w", err)
	}
	ended := make(chan error, 1)
	go func() {
		for _, err := range broker.All(feed) {
			if err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	err = add(ctx, feed, "chat")
	return errors.Join(err, feed.Close(), <-ended)
}
