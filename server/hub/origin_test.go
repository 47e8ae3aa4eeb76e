package hub_test

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// placed is an encoding that says where a client is told to be.
type placed struct{ lines }

func (*placed) Subscribed(s transport.Subscribed) []byte {
	return fmt.Appendf(nil, "subscribed %v %v\n", s.Recovered, s.Position)
}

// The last N are those at the time of the join, whenever they can be read, and what is
// published from then on is heard as well, once.
func TestLastAreThoseOfTheJoin(t *testing.T) {
	for _, c := range []struct {
		name       string
		before     int // messages published before the join
		last       int
		heard      bool // what is published meanwhile comes through the feed
		channelled bool // others hear the channel already
		want       string
	}{
		{"fewer than there are", 5, 2, true, true, "c 3\nc 4\nc new 0\nc new 1\nc new 2\n"},
		{"as many as there are", 2, 2, true, true, "c 0\nc 1\nc new 0\nc new 1\nc new 2\n"},
		{"more than there are", 2, 9, true, false, "c 0\nc 1\nc new 0\nc new 1\nc new 2\n"},
		{"of none", 0, 9, true, true, "c new 0\nc new 1\nc new 2\n"},
		{"what comes is lost by the feed", 5, 2, false, true, "c 3\nc 4\nc new 0\nc new 1\nc new 2\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				slow := &unreadable{ledger: l}
				h := newHub(t, slow, quiet)
				defer h.Close()
				for i := range c.before {
					l.say("c", strconv.Itoa(i), false)
				}
				if c.channelled {
					other := join(t, h, &mute{}, false, "c")
					defer other.leave()
				}
				slow.down.Store(true)
				client := joinFrom(t, h, &lines{}, sockets, transport.Start{Last: c.last})
				defer client.leave()
				synctest.Wait()
				for i := range 3 {
					l.say("c", fmt.Sprint("new ", i), c.heard)
				}
				synctest.Wait()
				slow.down.Store(false)
				if got := client.read(t, strings.Count(c.want, "\n")); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				l.say("c", "live", true)
				if got := client.read(t, 1); got != "c live\n" {
					t.Errorf("then got %q", got)
				}
			})
		})
	}
}

// An unreadable ledger knows its newest positions and no messages.
type unreadable struct {
	*ledger
	down atomic.Bool
}

func (u *unreadable) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if u.down.Load() {
		return broker.Page{}, broker.ErrUnavailable
	}
	return u.ledger.History(ctx, channel, q)
}

// What a client is told to be behind is never ahead of what it has heard: whoever comes
// back with it, at any time, misses nothing.
func TestSubscribedIsBehindAllThatFollows(t *testing.T) {
	withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
		first := l.say("c", "0", true)
		for i := 1; i < 600; i++ {
			l.say("c", strconv.Itoa(i), true)
		}
		newest := l.say("c", "600", true)
		for _, c := range []struct {
			name    string
			channel string
			after   broker.Position
			want    string
		}{
			{"recovered", "c", first, fmt.Sprint("subscribed true ", first)},
			{"at the end", "c", newest, fmt.Sprint("subscribed true ", newest)},
			{"not recovered", "c", broker.Position{Epoch: 99, Seq: 1}, fmt.Sprint("subscribed false ", newest)},
			{"of the future", "c", broker.Position{Epoch: 100, Seq: 5000}, fmt.Sprint("subscribed false ", newest)},
			{"of no position", "c", broker.Position{}, fmt.Sprint("subscribed false ", newest)},
			{"in an empty channel", "empty", first, fmt.Sprint("subscribed false ", transport.Outset)},
			{"from before the first", "empty", transport.Outset, fmt.Sprint("subscribed false ", transport.Outset)},
		} {
			client := joinAt(t, h, &placed{}, sockets, c.channel, transport.Start{Since: true, After: c.after})
			if got := client.read(t, 1); got != c.want+"\n" {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			client.leave()
		}
	})
}

// The place ahead of the first message that is replayed is one to go on from, also where that is
// the first of the channel, or of an epoch: a client that is cut off in the middle of its replay
// misses nothing.
func TestComeBackToTheBeginning(t *testing.T) {
	withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
		for i := range 3 {
			l.say("c", strconv.Itoa(i), true)
		}
		for _, last := range []int{1, 2, 3, 100} {
			at := make(chan broker.Position, 1)
			began := converse(t, h, nil)
			began.session.Subscribe(t.Context(), transport.Subscription{Channel: "c", Start: transport.Start{Last: last},
				Answer: func(s transport.Subscribed) ([]byte, bool) { at <- s.Position; return nil, true }})
			place := <-at
			began.leave()
			back := joinAt(t, h, &placed{}, sockets, "c", transport.Start{Since: true, After: place})
			want := fmt.Sprint("subscribed true ", place, "\n")
			for i := max(0, 3-last); i < 3; i++ {
				want += fmt.Sprint("c ", i, "\n")
			}
			if got := back.read(t, strings.Count(want, "\n")); got != want {
				t.Errorf("the last %d: got %q, want %q", last, got, want)
			}
			back.leave()
		}
	})
}

// A client that falls behind in a channel of which it had heard nothing catches up as
// any other, in each of its channels.
func TestCatchUpOfSeveralChannels(t *testing.T) {
	for _, before := range []int{0, 1, 3} {
		t.Run(fmt.Sprint(before, " messages before"), func(t *testing.T) {
			withHistory(t, hub.Options{CatchUp: true, PingInterval: time.Hour, PongTimeout: 2 * time.Hour}, func(t *testing.T, l *ledger, h *hub.Hub) {
				for i := range before {
					l.say("b", fmt.Sprint("before ", i), false)
				}
				small := socket.NewGroup(socket.Limits{Bytes: 100, Messages: 8, WriteTimeout: time.Hour, Linger: time.Hour})
				ours, peer := net.Pipe()
				s := small.New()
				s.Attach(ours)
				session, err := open(context.Background(), h, s, &lines{}, []string{"a", "b"})
				if err != nil {
					t.Fatal(err)
				}
				s.Uncork()
				c := &client{session, s, peer}
				defer c.leave()
				const n = 50
				for i := range n {
					l.say("a", strconv.Itoa(i), true)
					synctest.Wait()
				}
				for i := range n {
					l.say("b", strconv.Itoa(i), true)
					synctest.Wait()
				}
				got := c.read(t, 2*n)
				for _, channel := range []string{"a", "b"} {
					next := 0
					for line := range strings.Lines(got) {
						if text, ok := strings.CutPrefix(line, channel+" "); ok {
							if text != fmt.Sprint(next, "\n") {
								t.Fatalf("%s: got %q where %d was due", channel, text, next)
							}
							next++
						}
					}
					if next != n {
						t.Errorf("%d messages of %s", next, channel)
					}
				}
				if s := h.Stats(); s.Disconnected > 0 || s.Gaps > 0 {
					t.Errorf("%d disconnected, %d gaps", s.Disconnected, s.Gaps)
				}
			})
		})
	}
}

// Whoever begins in a channel without messages and does not read hears all that comes,
// however much more than is kept for it.
func TestBehindFromTheBeginning(t *testing.T) {
	for name, start := range map[string]transport.Start{
		"the last":         {Last: 5},
		"not recovered":    {Since: true},
		"before the first": {Since: true, After: transport.Outset},
	} {
		t.Run(name, func(t *testing.T) {
			withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
				const n = 3000
				c := joinFrom(t, h, &lines{}, sockets, start)
				defer c.leave()
				var want strings.Builder
				if start.Since {
					want.WriteString("subscribed c false\n")
				}
				for i := range n {
					l.say("c", strconv.Itoa(i), true)
					fmt.Fprintf(&want, "c %d\n", i)
				}
				synctest.Wait()
				if got := c.read(t, strings.Count(want.String(), "\n")); got != want.String() {
					t.Errorf("got %.80q …", got)
				}
			})
		})
	}
}

// Where the history is deleted in the middle of a replay, what was sent from it is not
// sent again with what came meanwhile.
func TestDeletedInTheMiddleOfAReplay(t *testing.T) {
	withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
		const unheard, total, page = 500, 900, 256
		first := l.say("c", "0", false)
		for i := 1; i < unheard; i++ {
			l.say("c", strconv.Itoa(i), false)
		}
		c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
		defer c.leave()
		synctest.Wait()
		for i := unheard; i < total; i++ {
			l.say("c", strconv.Itoa(i), true)
		}
		got := c.read(t, 1+2*page)
		synctest.Wait() // the third page waits to be read
		l.renew()
		got += c.read(t, total-1-2*page+1)
		next := 1
		for line := range strings.Lines(got) {
			if text, ok := strings.CutPrefix(line, "c "); ok {
				if text != fmt.Sprint(next, "\n") {
					t.Fatalf("got %q where %d was due", text, next)
				}
				next++
			}
		}
		if next != total {
			t.Errorf("%d messages", next-1)
		}
	})
}
