package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

// A message with a Key that is published again has the receipt of the first, and
// is delivered once.
func TestKey(t *testing.T) {
	onBoth(t, func(t *testing.T, o redis.Options) {
		b, other := newBroker(t, o), newBroker(t, o)
		feed := newFeed(t, b, "chat")
		m := broker.Message{Channel: "chat", Data: []byte("once"), Key: "k\x00\xFF"}
		first, err := b.Publish(guard(t), m)
		if err != nil || first.Repeated {
			t.Fatalf("Publish returned %+v, %v", first, err)
		}
		for range 40 {
			keep(t, b, "chat", "between")
		}
		for _, node := range []*redis.Broker{b, other} {
			again, err := node.Publish(guard(t), m)
			if want := (broker.Receipt{Position: first.Position, Repeated: true}); err != nil || again != want {
				t.Errorf("again: %+v, %v; want %+v", again, err, want)
			}
		}
		m.Channel = "elsewhere"
		if r, err := b.Publish(guard(t), m); err != nil || r.Repeated {
			t.Errorf("the same key in another channel: %+v, %v", r, err)
		}
		m.Key = strings.Repeat("k", broker.MaxKey+1)
		if _, err := b.Publish(guard(t), m); !errors.Is(err, broker.ErrKey) {
			t.Errorf("a long key: error %v, want one that matches ErrKey", err)
		}
		keep(t, b, "chat", "last")
		hear(t, feed, "chat", "once")
		for range 40 {
			hear(t, feed, "chat", "between")
		}
		hear(t, feed, "chat", "last")
	})
}

// Of publishers that use the same Key at the same time one publishes, and all get
// its receipt.
func TestKeyRace(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, o redis.Options) {
		const rounds = 100
		nodes := []*redis.Broker{newBroker(t, o), newBroker(t, o), newBroker(t, o)}
		for round := range rounds {
			m := broker.Message{Channel: "chat", Data: []byte("x"), Key: fmt.Sprint(round)}
			receipts := make([]broker.Receipt, len(nodes))
			var racing sync.WaitGroup
			for i, b := range nodes {
				racing.Go(func() {
					var err error
					if receipts[i], err = b.Publish(guard(t), m); err != nil {
						t.Error(err)
					}
				})
			}
			racing.Wait()
			first := 0
			for _, r := range receipts {
				if !r.Repeated {
					first++
				}
				if r.Position != receipts[0].Position {
					t.Errorf("round %d: positions %v and %v", round, r.Position, receipts[0].Position)
				}
			}
			if first != 1 {
				t.Errorf("round %d: %d of the publishers are the first", round, first)
			}
		}
		if n := len(history(t, nodes[0], "chat", broker.Position{}, 1000).Messages); n != rounds {
			t.Errorf("%d messages, want %d", n, rounds)
		}
	})
}
