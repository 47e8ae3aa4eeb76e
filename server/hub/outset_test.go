package hub_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A client that has heard nothing yet is continued from where it began: it hears all
// that came meanwhile. In a channel that had no message, where nothing proves that
// this is all, it is told so.
func TestContinueFromTheBeginning(t *testing.T) {
	for _, c := range []struct {
		name      string
		before    bool // there were messages
		meanwhile func(l *ledger)
		want      string
	}{
		{"nothing came", true, func(*ledger) {}, "subscribed c true\nc live\n"},
		{"nothing came to an empty channel", false, func(*ledger) {}, "subscribed c false\nc live\n"},
		{"some came", true, func(l *ledger) { l.say("c", "1", true); l.say("c", "2", true) }, "subscribed c true\nc 1\nc 2\nc live\n"},
		{"some came to an empty channel", false, func(l *ledger) { l.say("c", "1", true); l.say("c", "2", true) }, "subscribed c false\nc 1\nc 2\nc live\n"},
		{"some were lost", true, func(l *ledger) { l.say("c", "1", true); l.renew(); l.say("c", "2", true) }, "subscribed c false\nc live\n"},
		{"some were lost in an empty channel", false, func(l *ledger) { l.say("c", "1", true); l.renew(); l.say("c", "2", true) }, "subscribed c false\nc 2\nc live\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
				if c.before {
					l.say("c", "before", true)
				}
				first, began := begin(t, h)
				if (began == transport.Outset) == c.before {
					t.Errorf("began at %v", began)
				}
				first.leave()
				c.meanwhile(l)
				synctest.Wait()
				again := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: began})
				defer again.leave()
				l.say("c", "live", true)
				if got := again.read(t, strings.Count(c.want, "\n")); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// begin joins the channel c live, and returns where the client is told that it begins.
func begin(t *testing.T, h *hub.Hub) (*client, broker.Position) {
	t.Helper()
	told := make(chan broker.Position, 1)
	c := joinWith(t, h, transport.Subscription{Channel: "c", Answer: func(s transport.Subscribed) ([]byte, bool) {
		told <- s.Position
		return nil, true
	}})
	return c, <-told
}

// joinWith joins one channel.
func joinWith(t *testing.T, h *hub.Hub, sub transport.Subscription) *client {
	t.Helper()
	c := join(t, h, &lines{}, false)
	if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
		t.Fatal(err)
	}
	return c
}

// Where a client began is behind what was delivered before it came.
func TestBeganBehindTheOthers(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		first := join(t, h, &lines{}, false, "c")
		defer first.leave()
		var last broker.Position
		for i := range 3 {
			last = l.say("c", strconv.Itoa(i), true)
		}
		first.read(t, 3)
		second, began := begin(t, h)
		defer second.leave()
		if began != last {
			t.Errorf("began at %v, want %v", began, last)
		}
	})
}

// In a channel that had no message nothing is left to see a loss by: where histories
// have begun anew its clients are told, by the next heartbeat, whether a message came
// since or not. Others see it by their next message.
func TestLossInAnEmptyChannel(t *testing.T) {
	for name, heard := range map[string]bool{"nothing came since": false, "a message came since": true} {
		t.Run(name, func(t *testing.T) {
			withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
				c := join(t, h, &lines{}, false, "c")
				defer c.leave()
				time.Sleep(4500 * time.Millisecond) // of the bubble's time: between heartbeats
				l.say("c", "lost", false)
				l.renew()
				l.feed.Gap(broker.LinkLost, "c")
				want := "gap c\n"
				if heard {
					l.say("c", "new", true)
					want = "c new\ngap c\n"
				}
				if got := c.read(t, strings.Count(want, "\n")); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

// A client has heard messages of a master that this node does not know yet, as in a
// failover: what it has heard of their epoch does not come twice, and what comes of
// another does, however far ahead the client says it is.
func TestHeardElsewhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		before bool // this node knows an epoch before that of the client
		since  func(p broker.Position) broker.Position
		want   string
	}{
		{"of an empty server", false, func(p broker.Position) broker.Position { return p }, "subscribed c false\nc 3\n"},
		{"of one that is behind", true, func(p broker.Position) broker.Position { return p }, "subscribed c false\ngap c\nc 3\n"},
		{"far ahead", false, func(p broker.Position) broker.Position { return broker.Position{Epoch: p.Epoch + 9, Seq: 9} }, "subscribed c false\nc 1\nc 2\nc 3\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
				if c.before {
					l.say("c", "before", true)
					l.begin()
				}
				heard := l.position(1)
				client := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: c.since(heard)})
				defer client.leave()
				synctest.Wait()
				l.say("c", "1", true)
				l.say("c", "2", true)
				l.say("c", "3", true)
				if got := client.read(t, strings.Count(c.want, "\n")); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			})
		})
	}
}

// What a client has heard elsewhere does not come behind a message of another epoch
// either, one that this node still hears of a master before.
func TestHeardElsewhereBehindAnother(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		heard := l.position(1)
		heard.Epoch++
		client := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: heard})
		defer client.leave()
		synctest.Wait()
		l.say("c", "of the master before", true)
		synctest.Wait()
		l.begin()
		l.say("c", "1", true)
		l.say("c", "2", true)
		l.say("c", "3", true)
		l.say("c", "4", true)
		want := "subscribed c false\nc of the master before\ngap c\nc 3\nc 4\n"
		if got := client.read(t, strings.Count(want, "\n")); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
