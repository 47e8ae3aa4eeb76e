package hub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// mute is an encoding without words for anything but messages.
type mute struct{ lines }

func (*mute) Gap(transport.Gap) []byte               { return nil }
func (*mute) Subscribed(transport.Subscribed) []byte { return nil }

// withHistory runs test with a hub on a ledger, in a bubble of its own time: once with
// numbers that begin at 0 and have no holes, and once with others.
func withHistory(t *testing.T, o hub.Options, test func(t *testing.T, l *ledger, h *hub.Hub)) {
	t.Helper()
	for _, holes := range []uint64{0, 6} {
		synctest.Test(t, func(t *testing.T) {
			l := newLedger()
			l.holes = holes
			h := newHub(t, l, o)
			defer h.Close()
			defer func() {
				if t.Failed() {
					t.Logf("with %d numbers left out after each", holes)
				}
			}()
			test(t, l, h)
		})
	}
}

// joinFrom joins the channel c where start says.
func joinFrom(t *testing.T, h *hub.Hub, e answering, group *socket.Group, start transport.Start) *client {
	t.Helper()
	return joinAt(t, h, e, group, "c", start)
}

func joinAt(t *testing.T, h *hub.Hub, e answering, group *socket.Group, channel string, start transport.Start) *client {
	t.Helper()
	ours, peer := net.Pipe()
	s := group.New()
	s.Attach(ours)
	session, err := open(context.Background(), h, s, e, []string{channel}, start)
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	return &client{session, s, peer}
}

// What the feed loses is read from the history, in its place, and nobody is told:
// before a later message, after a lost link, and before the first message.
func TestHolesAreFilled(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		l.say("c", "before", false)
		c := join(t, h, &mute{}, false, "c")
		defer c.leave()
		l.say("c", "1", false)
		l.feed.Gap(broker.LinkLost, "c", "other")
		want := "c 1\n"
		if got := c.read(t, 1); got != want {
			t.Errorf("the first: got %q, want %q", got, want)
		}
		l.say("c", "2", true)
		l.say("c", "3", false)
		l.say("c", "4", false)
		l.say("c", "5", true)
		l.say("c", "6", false)
		l.feed.Gap(broker.Overrun, "c")
		l.say("c", "7", true)
		want = "c 2\nc 3\nc 4\nc 5\nc 6\nc 7\n"
		if got := c.read(t, 6); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if s := h.Stats(); s.Gaps != 0 || s.Filled < 4 {
			t.Errorf("%d gaps, %d filled", s.Gaps, s.Filled)
		}
	})
}

// What cannot be filled is one gap in its place, and delivery goes on: the history
// was cut off, begun anew, or has a hole itself, or cannot be read.
func TestWhatCannotBeFilledIsTold(t *testing.T) {
	for _, c := range []struct {
		name string
		lose func(l *ledger)
		want string
	}{
		{"not retained", func(l *ledger) { l.say("c", "lost", false); l.say("c", "2", false); l.forget("c", 1) }, "gap c\nc 2\nc last\n"},
		{"begun anew", func(l *ledger) { l.say("c", "lost", false); l.renew(); l.say("c", "2", false) }, "gap c\nc 2\nc last\n"},
		{"deleted", func(l *ledger) { l.renew() }, "gap c\nc last\n"},
		{"a hole", func(l *ledger) { l.skip("c") }, "gap c\nc last\n"},
		{"no permission", func(l *ledger) { l.say("c", "lost", false); l.fail(broker.ErrDenied) }, "gap c\nc last\n"},
		{"away for too long", func(l *ledger) { l.say("c", "lost", false); l.fail(broker.ErrUnavailable) }, "gap c\nc last\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
				told, untold := join(t, h, &lines{}, false, "c"), join(t, h, &mute{}, false, "c")
				defer told.leave()
				defer untold.leave()
				l.say("c", "1", true)
				told.read(t, 1)
				untold.read(t, 1)
				c.lose(l)
				l.say("c", "last", true)
				if got := told.read(t, strings.Count(c.want, "\n")); got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if got, want := untold.read(t, 1), fmt.Sprintf("end %d\n", transport.CloseGap); got != want {
					t.Errorf("without words for a gap: got %q, want %q", got, want)
				}
			})
		})
	}
}

// A history that is away for a moment is waited for, and what comes meanwhile
// waits behind the hole.
func TestFillWaits(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.say("c", "1", true)
		c.read(t, 1)
		l.fail(broker.ErrUnavailable)
		l.say("c", "2", false)
		l.say("c", "3", true)
		time.Sleep(3 * time.Second) // of the bubble's time
		l.fail(nil)
		if got, want := c.read(t, 2), "c 2\nc 3\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// What waited while the history could not be read, and is gone from it when it can
// be, is delivered in its place, before what the new history has.
func TestWhatWaitedIsNotOvertaken(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.say("c", "1", true)
		c.read(t, 1)
		l.fail(broker.ErrUnavailable)
		l.say("c", "2", false)
		l.say("c", "3", true)
		synctest.Wait()
		l.renew()
		l.say("c", "4", false)
		l.fail(nil)
		l.say("c", "5", true)
		if got, want := c.read(t, 5), "gap c\nc 3\ngap c\nc 4\nc 5\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A client that continues gets the rest and then what is live, after it was told
// that this is all; one that cannot be continued is told, or ended where the format
// has no words, and hears what is live.
func TestContinue(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		l.say("c", "gone", true)
		gone := l.say("c", "0", true)
		first := l.say("c", "1", true)
		l.say("c", "2", true)
		newest := l.say("c", "3", true)
		l.forget("c", 3)
		for _, c := range []struct {
			name  string
			start transport.Start
			want  string
		}{
			{"in the middle", transport.Start{Since: true, After: first}, "subscribed c true\nc 2\nc 3\n"},
			{"from what was dropped last", transport.Start{Since: true, After: gone}, "subscribed c true\nc 1\nc 2\nc 3\n"},
			{"at the end", transport.Start{Since: true, After: newest}, "subscribed c true\n"},
			{"too old", transport.Start{Since: true, After: broker.Position{Epoch: 100, Seq: 0}}, "subscribed c false\n"},
			{"of the future", transport.Start{Since: true, After: broker.Position{Epoch: 100, Seq: 99}}, "subscribed c false\n"},
			{"of another epoch", transport.Start{Since: true, After: broker.Position{Epoch: 99, Seq: 4}}, "subscribed c false\n"},
			{"of no position", transport.Start{Since: true}, "subscribed c false\n"},
			{"the last two", transport.Start{Last: 2}, "c 2\nc 3\n"},
			{"the last of many", transport.Start{Last: 100}, "c 1\nc 2\nc 3\n"},
		} {
			client := joinFrom(t, h, &lines{}, sockets, c.start)
			if got := client.read(t, strings.Count(c.want, "\n")); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
			defer client.leave()
			silent := joinFrom(t, h, &mute{}, sockets, c.start)
			defer silent.leave()
			rest := strings.TrimPrefix(c.want, "subscribed c true\n")
			if strings.HasSuffix(c.want, "false\n") {
				rest = fmt.Sprintf("end %d\n", transport.CloseUnrecovered)
			}
			if got := silent.read(t, strings.Count(rest, "\n")); got != rest {
				t.Errorf("%s, without words: got %q, want %q", c.name, got, rest)
			}
			defer func() {
				if got := client.read(t, 1); got != "c live\n" {
					t.Errorf("%s: then got %q", c.name, got)
				}
			}()
		}
		l.say("c", "live", true)
	})
}

// Whoever is fed from the history is told of what is in no history, or ended where
// there are no words: while it is behind, and while it is ahead of the others.
func TestGapReachesThoseWhoAreFed(t *testing.T) {
	ended := fmt.Sprintf("end %d\n", transport.CloseGap)
	t.Run("behind", func(t *testing.T) {
		withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
			first := l.say("c", "first", false)
			const n = 300 // more than is read at once
			var history strings.Builder
			for i := range n {
				l.say("c", strconv.Itoa(i), false)
				fmt.Fprintf(&history, "c %d\n", i)
			}
			told := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
			untold := joinFrom(t, h, &mute{}, sockets, transport.Start{Since: true, After: first})
			defer told.leave()
			defer untold.leave()
			synctest.Wait() // nobody reads yet, so neither is level
			for range 2000 {
				l.feed.Push(broker.Message{Channel: "c", Data: []byte("in no history")})
			}
			synctest.Wait()
			if got := told.read(t, n+2); got != "subscribed c true\n"+history.String()+"gap c\n" {
				t.Errorf("got %.80q … %.80q", got, got[len(got)-40:])
			}
			if got := untold.read(t, n+1); got != history.String()+ended {
				t.Errorf("without words: got %.80q … %q", got, got[len(got)-40:])
			}
		})
	})
	t.Run("ahead", func(t *testing.T) {
		withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
			anchor := join(t, h, &lines{}, false, "c")
			defer anchor.leave()
			first := l.say("c", "1", true)
			anchor.read(t, 1)
			l.say("c", "2", false) // which the hub does not miss yet
			told := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
			untold := joinFrom(t, h, &mute{}, sockets, transport.Start{Since: true, After: first})
			defer told.leave()
			defer untold.leave()
			told.read(t, 2)
			untold.read(t, 1)
			synctest.Wait()
			l.renew()
			l.feed.Gap(broker.LinkLost, "c")
			if got := told.read(t, 1); got != "gap c\n" {
				t.Errorf("got %q", got)
			}
			if got := untold.read(t, 1); got != ended {
				t.Errorf("without words: got %q", got)
			}
		})
	})
}

// A gap is told once in its place, however often it is looked for, and is not the
// answer to what is lost behind it: whoever came meanwhile is told of that.
func TestEachGapIsToldOnce(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.say("c", "1", true)
		c.read(t, 1)
		l.renew()
		for range 3 {
			l.feed.Gap(broker.LinkLost, "c")
			synctest.Wait()
		}
		later := join(t, h, &lines{}, false, "c")
		defer later.leave()
		l.say("c", "lost", false)
		l.say("c", "kept", false)
		l.forget("c", 1)
		l.feed.Gap(broker.LinkLost, "c")
		if got := c.read(t, 3); got != "gap c\ngap c\nc kept\n" {
			t.Errorf("got %q", got)
		}
		if got := later.read(t, 2); got != "gap c\nc kept\n" {
			t.Errorf("who came later: got %q", got)
		}
	})
}

// Where there is no history a client that wants to continue is told that it cannot.
func TestContinueWithoutHistory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		h := newHub(t, forgetful{l}, hub.Options{})
		defer h.Close()
		c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: broker.Position{Epoch: 1, Seq: 1}})
		defer c.leave()
		if got, want := c.read(t, 1), "subscribed c false\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// forgetful hides a broker's history.
type forgetful struct{ broker.Broker }

// A client that does not read is not disconnected: once it reads it gets all of it,
// from the history, in order.
func TestCatchUp(t *testing.T) {
	withHistory(t, hub.Options{CatchUp: true}, func(t *testing.T, l *ledger, h *hub.Hub) {
		small := socket.NewGroup(socket.Limits{Bytes: 100, Messages: 8, WriteTimeout: time.Hour, Linger: time.Hour})
		c := joinFrom(t, h, &lines{}, small, transport.Start{})
		defer c.leave()
		var want strings.Builder
		for i := range 3000 {
			l.say("c", strconv.Itoa(i), i%7 != 3)
			fmt.Fprintf(&want, "c %d\n", i)
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		if got := c.read(t, 3000); got != want.String() {
			t.Error("a client that was slow did not hear everything once and in order")
		}
		synctest.Wait()
		l.say("c", "live", true)
		if got := c.read(t, 1); got != "c live\n" {
			t.Errorf("then got %q", got)
		}
		if s := h.Stats(); s.CaughtUp == 0 || s.Disconnected != 0 {
			t.Errorf("%d caught up, %d disconnected", s.CaughtUp, s.Disconnected)
		}
	})
}

// Who leaves while it is fed from the history is not fed any more, though its socket
// is still there.
func TestLeavingEndsCatchingUp(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		const messages = 3000
		first := l.say("c", "0", true)
		for i := range messages {
			l.say("c", strconv.Itoa(i), true)
		}
		small := socket.NewGroup(socket.Limits{Bytes: 4096, Messages: 1 << 16, WriteTimeout: time.Hour, Linger: time.Hour})
		c := joinFrom(t, h, &lines{}, small, transport.Start{Since: true, After: first})
		c.read(t, 10)
		c.session.Leave()
		synctest.Wait()
		var heard atomic.Int64
		go func() {
			lines := bufio.NewScanner(c.peer)
			for lines.Scan() {
				heard.Add(1)
			}
		}()
		synctest.Wait()
		if n := heard.Load(); n > messages/2 {
			t.Errorf("heard %d messages more after leaving", n)
		}
		c.leave()
	})
}

// Who continues from what is the newest message since the end of its epoch was lost is
// told when the next epoch begins, though the others were told before, or nobody is
// there who could have been.
func TestContinueAtALostEnd(t *testing.T) {
	for name, anchored := range map[string]bool{"others were told before": true, "nobody was there": false} {
		t.Run(name, func(t *testing.T) {
			withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
				first := l.say("c", "0", true)
				if anchored {
					others := join(t, h, &lines{}, false, "c")
					defer others.leave()
					l.say("c", "lost", true)
					others.read(t, 1)
					l.loseEnd("c")
					l.feed.Gap(broker.LinkLost, "c")
					others.read(t, 1)
				} else {
					l.say("c", "lost", false)
					l.loseEnd("c")
				}
				told := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
				defer told.leave()
				untold := joinFrom(t, h, &mute{}, sockets, transport.Start{Since: true, After: first})
				defer untold.leave()
				synctest.Wait()
				l.say("c", "next", true)
				l.say("c", "last", true)
				if got, want := told.read(t, 4), "subscribed c true\ngap c\nc next\nc last\n"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got, want := untold.read(t, 1), fmt.Sprintf("end %d\n", transport.CloseGap); got != want {
					t.Errorf("without words for a gap: got %q, want %q", got, want)
				}
			})
		})
	}
}

// A client that continues by the history of a new master, while the feed still brings what the
// old one accepts, is told of what the new one has not got: of what was heard before it came, and
// of what came while its history was read and was too much to be kept.
func TestContinueByAnotherHistory(t *testing.T) {
	for name, meanwhile := range map[string]int{"heard before": 0, "too much meanwhile": 1100} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				slow := &unreadable{ledger: l}
				h := newHub(t, slow, quiet)
				defer h.Close()
				others := join(t, h, &lines{}, false, "c")
				defer others.leave()
				first := l.say("c", "0", true)
				if meanwhile == 0 {
					l.say("c", "lost", true)
				}
				synctest.Wait()
				slow.down.Store(true)
				told := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
				defer told.leave()
				untold := joinFrom(t, h, &mute{}, sockets, transport.Start{Since: true, After: first})
				defer untold.leave()
				synctest.Wait()
				for range meanwhile {
					l.say("c", "lost", true)
				}
				synctest.Wait()
				l.revert("c", 1)
				slow.down.Store(false)
				if got, want := told.read(t, 1), "subscribed c true\n"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				time.Sleep(time.Second) // both have read the history
				l.say("c", "next", true)
				if got, want := told.read(t, 2), "gap c\nc next\n"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got, want := untold.read(t, 1), fmt.Sprintf("end %d\n", transport.CloseGap); got != want {
					t.Errorf("without words for a gap: got %q, want %q", got, want)
				}
			})
		})
	}
}

// A client that comes where others were just told a gap is told of the next epoch: what the old
// master has accepted since it came may be lost.
func TestComeBehindAGap(t *testing.T) {
	withHistory(t, quiet, func(t *testing.T, l *ledger, h *hub.Hub) {
		others := join(t, h, &lines{}, false, "c")
		defer others.leave()
		l.say("c", "0", true)
		l.say("c", "lost", true)
		others.read(t, 2)
		l.revert("c", 1)
		l.feed.Gap(broker.LinkLost, "c")
		others.read(t, 1)
		told := join(t, h, &lines{}, false, "c")
		defer told.leave()
		l.begin()
		l.say("c", "next", true)
		if got, want := told.read(t, 2), "gap c\nc next\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if got, want := others.read(t, 1), "c next\n"; got != want {
			t.Errorf("one who was told: got %q, want %q", got, want)
		}
	})
}

// Who continues from an epoch that has ended is told, gets what is left of it, and
// after a gap the next.
func TestContinueFromAnEndedEpoch(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		first := l.say("c", "0", false)
		l.say("c", "1", false)
		l.say("c", "lost", false)
		l.loseEnd("c")
		l.say("c", "2", false)
		c := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
		defer c.leave()
		if got, want := c.read(t, 4), "subscribed c false\nc 1\ngap c\nc 2\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// Clients come and go and continue where they were while messages are published,
// some of which the feed loses: each hears everything from where it began, once and
// in order.
func TestNoSeamAndNoRepeat(t *testing.T) {
	const messages, clients = 4000, 12
	l := newLedger()
	h := newHub(t, l, hub.Options{Workers: 2, CatchUp: true})
	defer h.Close()
	// The channel stays subscribed, and its history known, throughout.
	anchor := join(t, h, &lines{}, false, "c")
	go func() { _ = drain(anchor.peer) }()
	defer anchor.leave()
	first := l.say("c", "0", true)
	tight := socket.NewGroup(socket.Limits{Bytes: 512, Messages: 32, WriteTimeout: time.Hour, Linger: time.Hour})

	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			at := first
			for at.Seq < messages {
				c := joinFrom(t, h, &lines{}, tight, transport.Start{Since: true, After: at})
				n := 1 + r.Uint64N(400)
				last, err := c.follow(at, min(at.Seq+n, messages))
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					c.leave()
					return
				}
				c.leave()
				at = last
			}
		})
	}
	r := rand.New(rand.NewPCG(2, 3))
	for i := 1; i <= messages; i++ {
		l.say("c", strconv.Itoa(i), r.IntN(50) > 0)
		if r.IntN(200) == 0 {
			l.feed.Gap(broker.LinkLost, "c")
		}
		if i%10 == 0 {
			time.Sleep(time.Millisecond) // so that clients come and go meanwhile
		}
	}
	l.feed.Gap(broker.LinkLost, "c")
	running.Wait()
}

func drain(c net.Conn) error {
	buf := make([]byte, 4096)
	for {
		if _, err := c.Read(buf); err != nil {
			return err
		}
	}
}

// follow reads what must come behind at, to a number.
func (c *client) follow(at broker.Position, to uint64) (broker.Position, error) {
	_ = c.peer.SetReadDeadline(time.Now().Add(20 * time.Second))
	buf, rest := make([]byte, 4096), ""
	told := false
	for at.Seq < to {
		n, err := c.peer.Read(buf)
		if err != nil {
			return at, fmt.Errorf("after %d: %w", at.Seq, err)
		}
		rest += string(buf[:n])
		for {
			line, more, ok := strings.Cut(rest, "\n")
			if !ok || at.Seq == to {
				break
			}
			rest = more
			switch {
			case line == "ping":
			case !told && line != "subscribed c true":
				return at, fmt.Errorf("was first told %q", line)
			case !told:
				told = true
			case line != fmt.Sprintf("c %d", at.Seq+1):
				return at, fmt.Errorf("after %d came %q", at.Seq, line)
			default:
				at.Seq++
			}
		}
	}
	return at, nil
}

// Watch wakes its caller for each message, and ends with the hub's draining.
func TestWatch(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		news, stop, err := h.Watch(context.Background(), "c")
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-news:
			t.Error("there are news before anything was published")
		default:
		}
		l.say("c", "1", true)
		<-news
		stop()
		h.Drain(context.Background(), 0)
		if _, _, err := h.Watch(context.Background(), "c"); !errors.Is(err, hub.ErrDraining) {
			t.Errorf("while draining: %v", err)
		}
	})
}
