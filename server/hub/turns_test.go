package hub_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A picky ledger cannot read some channels, and answers Newest as a test says.
type picky struct {
	*ledger
	unreadable string
	keep       broker.Retention

	mu     sync.Mutex
	asked  int // times that newest was asked for this many channels or more
	most   int
	short  bool
	failed error
}

func (p *picky) Retention() broker.Retention { return p.keep }

func (p *picky) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if channel == p.unreadable {
		return broker.Page{}, errors.New("not a stream")
	}
	return p.ledger.History(ctx, channel, q)
}

func (p *picky) Newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	p.most = max(p.most, len(channels))
	newest, err := p.ledger.Newest(ctx, channels...)
	if p.short {
		newest = newest[:0]
	}
	return newest, errors.Join(err, p.failed)
}

func withPicky(t *testing.T, o hub.Options, test func(t *testing.T, p *picky, h *hub.Hub)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := &picky{ledger: newLedger(), keep: broker.Retention{MaxMessages: 1000, MaxAge: 30 * 24 * time.Hour}}
		h := newHub(t, p, o)
		defer h.Close()
		test(t, p, h)
	})
}

// However many wait for a channel that cannot be read, the others are read meanwhile.
func TestAnUnreadableChannelHoldsUpNoOther(t *testing.T) {
	withPicky(t, quiet, func(t *testing.T, p *picky, h *hub.Hub) {
		p.unreadable = "bad"
		p.say("bad", "0", false)
		first := p.say("good", "0", false)
		p.say("good", "1", false)
		for range 40 {
			c := joinAt(t, h, &lines{}, sockets, "bad", transport.Start{Last: 5})
			defer c.leave()
		}
		synctest.Wait()
		began := time.Now()
		c := joinAt(t, h, &lines{}, sockets, "good", transport.Start{Since: true, After: first})
		defer c.leave()
		if got := c.read(t, 2); got != "subscribed good true\ngood 1\n" {
			t.Errorf("got %q", got)
		}
		if took := time.Since(began); took > time.Second { // of the bubble's time
			t.Errorf("after %v", took)
		}
	})
}

// What is lost at the end of a channel without a word is found within half a minute,
// however long messages are kept.
func TestALostEndIsFoundSoon(t *testing.T) {
	withPicky(t, quiet, func(t *testing.T, p *picky, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		p.say("c", "1", true)
		c.read(t, 1)
		p.say("c", "lost", false)
		began := time.Now()
		if got := c.read(t, 1); got != "c lost\n" || time.Since(began) > 31*time.Second {
			t.Errorf("got %q after %v", got, time.Since(began))
		}
	})
}

// Very many channels are asked for in parts.
func TestNewestInParts(t *testing.T) {
	withPicky(t, hub.Options{PingInterval: time.Hour, PongTimeout: 2 * time.Hour, Workers: 1}, func(t *testing.T, p *picky, h *hub.Hub) {
		const n = 2500
		channels := make([]string, n)
		for i := range channels {
			channels[i] = fmt.Sprint("c", i)
		}
		c := join(t, h, &lines{}, false, channels...)
		defer c.leave()
		p.feed.Gap(broker.LinkLost, channels...)
		time.Sleep(time.Minute) // of the bubble's time
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.most > 1000 || p.asked < 6 {
			t.Errorf("asked for %d channels at once, %d times", p.most, p.asked)
		}
	})
}

// A driver that answers for fewer channels than it was asked for is in error: its
// channels are not confirmed, and nothing else becomes of it.
func TestShortNewest(t *testing.T) {
	withPicky(t, quiet, func(t *testing.T, p *picky, h *hub.Hub) {
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		p.mu.Lock()
		p.short = true
		p.mu.Unlock()
		p.say("c", "lost", false)
		p.feed.Gap(broker.LinkLost, "c")
		if got := c.read(t, 1); got != "c lost\n" {
			t.Errorf("got %q", got)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
		defer cancel()
		_, err := open(ctx, h, sockets.New(), &lines{}, []string{"new"})
		if !errors.Is(err, hub.ErrNotConfirmed) {
			t.Errorf("a new channel: %v", err)
		}
		time.Sleep(time.Minute) // of the bubble's time: the comparison goes wrong, too
	})
}
