package hub_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
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
