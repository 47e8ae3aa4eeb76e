package hub_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// unread runs test with a session that reads nothing until the test does, in a bubble of its own time.
func unread(t *testing.T, limit int, test func(t *testing.T, l *ledger, c *client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		h := newHub(t, &shelf{ledger: l}, hub.Options{CatchUp: true})
		defer h.Close()
		group := socket.NewGroup(socket.Limits{Bytes: limit, Messages: 1 << 14, WriteTimeout: time.Hour, Linger: time.Hour})
		ours, peer := net.Pipe()
		s, e := group.New(), &lines{}
		s.Attach(ours)
		session, err := h.Join(context.Background(), transport.Subscriber{Socket: s, Encoding: e, Control: e}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Uncork()
		c := &client{session, s, peer}
		defer c.leave()
		test(t, l, c)
	})
}

// from subscribes a channel from the history, with an answer.
func (c *client) from(t *testing.T, channel string, last int) {
	t.Helper()
	sub := answered(channel)
	sub.Start = transport.Start{Last: last}
	if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
		t.Fatal(err)
	}
}

// held returns how many bytes are in use.
func held() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Stays that are over leave nothing behind, however many a client begins and ends that reads nothing.
func TestUnreadStaysLeaveNothing(t *testing.T) {
	unread(t, 4<<20, func(t *testing.T, l *ledger, c *client) {
		l.say("c", "x", false)
		c.session.Say([]byte("ahead\n"))
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 500 {
			c.from(t, "c", 1)
			synctest.Wait()
			c.session.Unsubscribe("c", func() []byte { return []byte("bye\n") })
			synctest.Wait()
		}
		synctest.Wait()
		if now := runtime.NumGoroutine(); now > before+50 {
			t.Errorf("%d goroutines, %d before", now, before)
		}
	})
}

// What a client that reads nothing has node and socket keep of the histories of many channels is what fits into the socket
// and no page for each. Then it gets all of each, once and in order.
func TestUnreadHistoriesTakeTurns(t *testing.T) {
	const channels, messages, long, most = 100, 100, 4096, 8 << 20
	for _, limit := range []int{32 << 10, 4 << 20} {
		unread(t, limit, func(t *testing.T, l *ledger, c *client) {
			body := strings.Repeat("x", long)
			for ch := range channels {
				for i := range messages {
					l.say(fmt.Sprint("c", ch), fmt.Sprint(i, " ", body), false)
				}
			}
			for _, full := range []int{10_000, limit - 10_010} { // the first is being written, and then there is no room for an answer
				c.session.Say([]byte(strings.Repeat("f", full-1) + "\n"))
				synctest.Wait()
			}
			before := held()
			for ch := range channels {
				c.from(t, fmt.Sprint("c", ch), messages)
			}
			synctest.Wait()
			if more := held() - before; more > most {
				t.Errorf("a client that reads nothing holds %d bytes of %d", more, channels*messages*long)
			}
			next := map[string]int{}
			peer := bufio.NewReader(c.peer)
			for got := 0; got < channels*messages; {
				line, err := peer.ReadString('\n')
				if err != nil {
					t.Fatal(err)
				}
				if strings.HasPrefix(line, "subscribed ") || strings.HasPrefix(line, "f") {
					continue
				}
				var channel string
				var i int
				if _, err := fmt.Sscanf(line, "%s %d ", &channel, &i); err != nil || i != next[channel] {
					t.Fatalf("%.20q: %v, want %d", line, err, next[channel])
				}
				next[channel]++
				got++
			}
		})
	}
}

// What comes meanwhile is kept up to a bound for all channels of a session together, and the rest read again.
func TestUnreadIsKeptForAllChannelsTogether(t *testing.T) {
	const channels, messages, most = 50, 250, 8 << 20
	unread(t, 4<<20, func(t *testing.T, l *ledger, c *client) {
		c.session.Say([]byte("ahead\n"))
		for ch := range channels {
			l.say(fmt.Sprint("c", ch), "x", false)
			c.from(t, fmt.Sprint("c", ch), 1)
		}
		synctest.Wait()
		before := held()
		body := strings.Repeat("x", 4096)
		for range messages {
			for ch := range channels {
				l.say(fmt.Sprint("c", ch), body, true)
			}
			synctest.Wait()
		}
		kept := int64(channels * messages * len(body)) // by the ledger
		if more := held() - before - kept; more > most {
			t.Errorf("%d bytes are kept of %d", more, kept)
		}
	})
}

// An answer that was made while there was no room for it comes, although the stay is over by then.
func TestUnreadAnswerComes(t *testing.T) {
	unread(t, 1000, func(t *testing.T, l *ledger, c *client) {
		l.say("c", "x", false)
		for range 2 { // the first is being written
			c.session.Say([]byte(strings.Repeat("f", 494) + "\n"))
			synctest.Wait()
		}
		c.from(t, "c", 1)
		synctest.Wait()
		c.read(t, 1) // so that there is room
		synctest.Wait()
		c.session.Unsubscribe("c", func() []byte { return []byte("bye\n") })
		synctest.Wait()
		if got, want := strings.TrimLeft(c.read(t, 3), "f"), "\nsubscribed c\nbye\n"; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// A client that waits for an answer and renews its credential again and again, reading nothing, is disconnected.
func TestUnreadRenewalsAreBounded(t *testing.T) {
	unread(t, 1000, func(t *testing.T, l *ledger, c *client) {
		l.say("c", "x", false)
		c.session.Say([]byte(strings.Repeat("f", 990) + "\n"))
		c.from(t, "c", 1)
		synctest.Wait()
		for range 2000 {
			c.session.Renewed([]byte(strings.Repeat("r", 99) + "\n"))
		}
		synctest.Wait()
		if !c.socket.Ended() {
			t.Error("it is still there")
		}
	})
}
