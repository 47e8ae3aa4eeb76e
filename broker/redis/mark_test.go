package redis_test

import (
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

// A mark is behind what is kept when it is made, moves on and never back, is every
// node's, and goes with the history. A channel without one has none.
func TestMarks(t *testing.T) {
	onBoth(t, func(t *testing.T, o redis.Options) {
		one, other := newBroker(t, o), newBroker(t, o)
		marks := func(want ...broker.Position) {
			t.Helper()
			for _, b := range []*redis.Broker{one, other} {
				got, err := b.Marks(guard(t), "a", "b", "none")
				if err != nil || len(got) != 3 {
					t.Fatalf("%v, %v", got, err)
				}
				for i, p := range append(want, broker.Position{}) {
					if got[i] != p {
						t.Errorf("mark %d is %v, want %v", i, got[i], p)
					}
				}
			}
		}
		mark := func(b *redis.Broker, channels ...string) {
			t.Helper()
			if err := b.Mark(guard(t), channels...); err != nil {
				t.Fatal(err)
			}
		}
		mark(one, "a", "b", "none") // nothing is kept yet
		marks(broker.Position{}, broker.Position{})
		first := keep(t, one, "a", "1")
		keep(t, one, "b", "1")
		mark(other, "a", "none")
		marks(first, broker.Position{})
		mark(one, "a")
		marks(first, broker.Position{})
		second, of := keep(t, other, "a", "2"), keep(t, other, "b", "2")
		mark(one, "a", "b")
		mark(other, "b", "a")
		marks(second, of)
		if p := keep(t, one, "a", "3"); !second.Next(p) {
			t.Errorf("after a mark %v comes %v", second, p)
		}
		if err := newClient(t, o).FlushAll(guard(t)).Err(); err != nil {
			t.Fatal(err)
		}
		marks(broker.Position{}, broker.Position{})
	})
}
