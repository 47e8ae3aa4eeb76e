package hub_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// quiet hubs send no pings within the time of these tests.
var quiet = hub.Options{PingInterval: time.Hour, PongTimeout: time.Hour}

// A flaky ledger is asked before each page whether the history can be read.
type flaky struct {
	*ledger
	readable func() bool
}

func (f *flaky) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	page, err := f.ledger.History(ctx, channel, q)
	if err == nil && !f.readable() {
		return broker.Page{}, broker.ErrUnavailable
	}
	return page, err
}

// What waited and was read from the history meanwhile is not delivered again where
// the rest cannot be read.
func TestSurrenderRepeatsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{ledger: newLedger()}
		pages := 1 // one page can be read, and then none
		l.readable = func() bool { pages--; return pages >= 0 }
		h := newHub(t, l, quiet)
		defer h.Close()
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.say("c", "0", true)
		c.read(t, 1)
		l.fail(broker.ErrUnavailable)
		l.say("c", "1", false)
		l.say("c", "2", true) // waits
		synctest.Wait()
		for i := 3; i < 700; i++ {
			l.say("c", strconv.Itoa(i), false)
		}
		l.fail(nil)
		got := c.read(t, 513) // and what comes at the end of the patience
		l.say("c", "700", true)
		got += c.read(t, 1)
		if n := strings.Count(got, "c 2\n"); n != 1 {
			t.Errorf("2 was delivered %d times", n)
		}
	})
}

// A history that is away again and again, and is read from in between, is waited
// for: patience is with one absence.
func TestPatienceBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{ledger: newLedger()}
		var next time.Time
		l.readable = func() bool { // one page every forty seconds
			if time.Now().Before(next) {
				return false
			}
			next = time.Now().Add(40 * time.Second)
			return true
		}
		h := newHub(t, l, quiet)
		defer h.Close()
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.say("c", "0", true)
		c.read(t, 1)
		l.fail(broker.ErrUnavailable)
		l.feed.Gap(broker.LinkLost, "c")
		synctest.Wait()
		for i := 1; i < 2000; i++ {
			l.say("c", strconv.Itoa(i), false)
		}
		l.fail(nil)
		if n := strings.Count(c.read(t, 1999), "gap"); n != 0 {
			t.Errorf("%d gaps, though the history can be read every 40 s", n)
		}
	})
}

// A gated ledger has the readers of a history wait until the gate is open, and notes
// from where they read.
type gated struct {
	*ledger
	gate chan struct{}

	mu    sync.Mutex
	after map[broker.Position]int
}

func (g *gated) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	<-g.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	g.after[q.After]++
	return g.ledger.History(ctx, channel, q)
}

// Nothing is read for clients that have gone before it was their turn: those who come
// and go faster than that do not hold up the others.
func TestNothingIsReadForTheGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const turns = 16 // at a time
		l := &gated{ledger: newLedger(), gate: make(chan struct{}), after: map[broker.Position]int{}}
		h := newHub(t, l, quiet)
		defer h.Close()
		l.say("c", "0", false)
		unread := l.say("c", "1", false)
		var staying, going []*client
		for i := range turns { // what is read of one channel would be read once for all
			name := strconv.Itoa(i)
			from := l.say(name, "0", false)
			l.say(name, "1", false)
			staying = append(staying, joinAt(t, h, &lines{}, sockets, name, transport.Start{Since: true, After: from}))
		}
		synctest.Wait()
		for range turns {
			going = append(going, joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: unread}))
		}
		synctest.Wait()
		for _, c := range going {
			c.leave()
		}
		synctest.Wait()
		close(l.gate)
		for i, c := range staying {
			if got, want := c.read(t, 2), fmt.Sprintf("subscribed %d true\n%d 1\n", i, i); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			c.leave()
		}
		synctest.Wait()
		l.mu.Lock()
		defer l.mu.Unlock()
		if n := l.after[unread]; n > 0 {
			t.Errorf("%d readings for clients that have gone", n)
		}
	})
}
