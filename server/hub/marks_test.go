package hub_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A marked ledger is one on which strangers publish, too.
type marked struct {
	*ledger
	marks map[string]broker.Position // guarded by the ledger's lock
}

func (l *marked) Mark(_ context.Context, channels ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range channels {
		if kept := l.kept[c]; len(kept) > 0 {
			l.marks[c] = kept[len(kept)-1].Position
		}
	}
	return nil
}

func (l *marked) Marks(_ context.Context, channels ...string) ([]broker.Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	marks := make([]broker.Position, len(channels))
	for i, c := range channels {
		marks[i] = l.marks[c]
	}
	return marks, l.down
}

// stranger publishes beside the history.
func (l *marked) stranger(text string) {
	l.feed.Push(broker.Message{Channel: "c", Data: []byte(text)})
}

// lose is a lost link.
func (l *marked) lose() { l.feed.Gap(broker.LinkLost, "c") }

// besideHistory runs test with a hub on a ledger on which strangers publish.
func besideHistory(t *testing.T, test func(t *testing.T, l *marked, h *hub.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := &marked{newLedger(), map[string]broker.Position{}}
		h := newHub(t, l, quiet)
		defer h.Close()
		test(t, l, h)
	})
}

// recovered reports what a client is told that continues behind a position.
func recovered(t *testing.T, h *hub.Hub, after broker.Position) bool {
	t.Helper()
	c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: after})
	defer c.leave()
	return c.read(t, 1) == "subscribed c true\n"
}

// A stranger's message may have been lost between two others: it is told between
// them, also where the history was being read when they came.
func TestLossOfStrangersIsToldInPlace(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(l *marked)
	}{
		{"after a lost link", func(l *marked) { l.lose() }},
		{"after a hole", func(l *marked) { l.say("c", "2", false); l.say("c", "3", true) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			besideHistory(t, func(t *testing.T, l *marked, h *hub.Hub) {
				client := join(t, h, &lines{}, false, "c")
				defer client.leave()
				l.say("c", "1", true)
				l.stranger("stranger 1")
				client.read(t, 2)
				l.fail(broker.ErrUnavailable)
				c.fill(l)
				synctest.Wait()
				l.stranger("stranger 2")
				l.lose() // and stranger 3 with it
				l.stranger("stranger 4")
				synctest.Wait()
				l.fail(nil)
				time.Sleep(time.Minute)
				l.say("c", "last", true)
				got := client.until("c last\n")
				if want := "c stranger 2\ngap c\nc stranger 4\nc last\n"; len(got) < len(want) || got[len(got)-len(want):] != want {
					t.Errorf("heard %q", got)
				}
			})
		})
	}
}

// Also a client that has just caught up is told of each loss behind which something
// came.
func TestEachLossOfStrangersIsTold(t *testing.T) {
	besideHistory(t, func(t *testing.T, l *marked, h *hub.Hub) {
		anchor := join(t, h, &lines{}, false, "c")
		defer anchor.leave()
		first := l.say("c", "1", true)
		l.stranger("stranger 1")
		anchor.read(t, 2)
		c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
		empty := joinAt(t, h, &lines{}, sockets, "empty", transport.Start{Last: 1})
		defer c.leave()
		defer empty.leave()
		c.read(t, 1)
		synctest.Wait()
		l.feed.Push(broker.Message{Channel: "empty", Data: []byte("stranger")})
		l.feed.Gap(broker.LinkLost, "empty")
		l.feed.Push(broker.Message{Channel: "empty", Data: []byte("last")})
		if got := empty.until("empty last\n"); got != "empty stranger\ngap empty\nempty last\n" {
			t.Errorf("in a channel without history: %q", got)
		}
		for _, text := range []string{"stranger 2", "stranger 3"} {
			l.lose()
			synctest.Wait()
			l.stranger(text)
			synctest.Wait()
		}
		l.lose()
		l.say("c", "last", true)
		want := "gap c\nc stranger 2\ngap c\nc stranger 3\ngap c\nc last\n"
		for name, client := range map[string]*client{"that stayed": anchor, "that caught up": c} {
			if got := client.until("c last\n"); got != want {
				t.Errorf("a client %s heard %q, want %q", name, got, want)
			}
		}
	})
}

// Who has had a newer message of the history ahead of a stranger's, and goes away
// between the two, is not recovered.
func TestOvertakenStrangersAreNotRecovered(t *testing.T) {
	t.Run("while it catches up", func(t *testing.T) {
		besideHistory(t, func(t *testing.T, l *marked, h *hub.Hub) {
			anchor := join(t, h, &lines{}, false, "c")
			defer anchor.leave()
			first := l.say("c", "1", true)
			anchor.read(t, 1)
			c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
			synctest.Wait() // it is told, and does not read
			l.stranger("stranger")
			anchor.read(t, 1)
			synctest.Wait() // it is marked
			second := l.say("c", "2", true)
			anchor.read(t, 1)
			if got := c.read(t, 2); got != "subscribed c true\nc 2\n" {
				t.Fatalf("heard %q", got)
			}
			c.leave()
			if recovered(t, h, second) {
				t.Error("recovered over a message that it has not had")
			}
		})
	})
	t.Run("while a hole is filled", func(t *testing.T) {
		besideHistory(t, func(t *testing.T, l *marked, h *hub.Hub) {
			c := join(t, h, &lines{}, false, "c")
			l.say("c", "1", true)
			c.read(t, 1)
			l.fail(broker.ErrUnavailable)
			l.say("c", "2", false)
			l.say("c", "3", true)
			l.stranger("stranger")
			synctest.Wait()
			l.say("c", "4", false)
			last := l.say("c", "5", false)
			l.fail(nil)
			if got := c.read(t, 4); got != "c 2\nc 3\nc 4\nc 5\n" {
				t.Fatalf("heard %q", got)
			}
			c.leave()
			l.mu.Lock()
			mark := l.marks["c"]
			l.mu.Unlock()
			if mark.Compare(last) < 0 {
				t.Error("another node takes it to be recovered over a message that it has not had")
			}
		})
	})
}

// Where a link was lost, a channel in which other programs are said to publish has a gap and a
// mark, though nobody has heard them there yet, so that no client is taken to have missed
// nothing. Others are filled in silence.
func TestStrangersBehindALostLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &marked{newLedger(), map[string]broker.Position{}}
		o := quiet
		o.Strangers = func(channel string) bool { return channel == "theirs" }
		h := newHub(t, l, o)
		defer h.Close()
		for channel, want := range map[string]string{"theirs": "theirs 1\ngap theirs\n", "ours": "ours 1\n"} {
			cursor := l.say(channel, "0", true)
			c := join(t, h, &lines{}, false, channel)
			defer c.leave()
			l.say(channel, "1", true)
			time.Sleep(time.Second)
			l.feed.Gap(broker.LinkLost, channel)
			time.Sleep(time.Second)
			l.say(channel, "end", true)
			if got := readUntil(c, channel+" end\n"); got != want+channel+" end\n" {
				t.Errorf("heard %q", got)
			}
			if found, err := l.Marks(t.Context(), channel); err != nil || found[0].IsZero() != (channel == "ours") {
				t.Errorf("%s is marked: %v, %v", channel, found, err)
			}
			back := joinAt(t, h, &lines{}, sockets, channel, transport.Start{Since: true, After: cursor})
			defer back.leave()
			if got := back.read(t, 1); got != fmt.Sprintf("subscribed %s %v\n", channel, channel == "ours") {
				t.Errorf("a client that comes back heard %q", got)
			}
		}
	})
}
