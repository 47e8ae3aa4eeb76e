package hub_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// What is lost for good is told, ahead of what comes next, also where the history has all
// that it ever had. What it has is filled in nevertheless, and nobody who continues from
// before is recovered.
func TestLostForGood(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		before := l.say("c", "1", true)
		l.feed.GapUnfillable(broker.Overrun, "c")
		synctest.Wait()
		l.say("c", "2", true)
		l.say("c", "3", false)
		l.feed.GapUnfillable(broker.Overrun, "c")
		synctest.Wait()
		after := l.say("c", "4", true)
		if got, want := c.read(t, 6), "c 1\ngap c\nc 2\ngap c\nc 3\nc 4\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		for from, recovered := range map[broker.Position]bool{before: false, after: true} {
			again := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: from})
			if got, want := again.read(t, 1), fmt.Sprintf("subscribed c %v\n", recovered); got != want {
				t.Errorf("from %v: got %q, want %q", from, got, want)
			}
			again.leave()
		}
	})
}

// Clients are told at once that the history of their channel was cleared, hear what comes
// next, and do not recover from before.
func TestCleared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Hour}).Broker()
		defer b.Close()
		h := newHub(t, b, hub.Options{})
		defer h.Close()
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		say := func(text string) broker.Position {
			t.Helper()
			r, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			return r.Position
		}
		last := say("1")
		if err := b.(broker.Clearer).Clear(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if got, want := c.read(t, 2), "c 1\ngap c\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		say("2")
		say("3")
		if got, want := c.read(t, 2), "c 2\nc 3\n"; got != want {
			t.Errorf("after that: got %q, want %q", got, want)
		}
		again := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: last})
		defer again.leave()
		if got, want := again.read(t, 1), fmt.Sprintln("subscribed c false"); got != want {
			t.Errorf("from before: got %q, want %q", got, want)
		}
	})
}

// The history of a channel that somebody listens to does not expire as a whole, however
// long nothing comes, so nobody is told of a gap when something does.
func TestIdleChannelGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Minute}).Broker()
		defer b.Close()
		say := func(channel, text string) broker.Position {
			t.Helper()
			r, err := b.Publish(t.Context(), broker.Message{Channel: channel, Data: []byte(text)})
			if err != nil {
				t.Fatal(err)
			}
			return r.Position
		}
		before := say("c", "0")
		time.Sleep(119 * time.Second) // it is about to expire
		h := newHub(t, b, hub.Options{PingInterval: 10 * time.Hour, PongTimeout: 20 * time.Hour})
		defer h.Close()
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		for i := range 3 {
			time.Sleep(20 * time.Minute)
			say("other", "what has expired is swept away with a publication")
			if p := say("c", fmt.Sprint(i)); p.Epoch != before.Epoch {
				t.Fatalf("after %v comes %v", before, p)
			}
		}
		if got, want := c.read(t, 3), "c 0\nc 1\nc 2\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
