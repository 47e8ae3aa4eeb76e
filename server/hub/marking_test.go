package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// racing calls meanwhile once, after the first reading for a client, before that returns.
type racing struct {
	*ledger
	once      sync.Once
	meanwhile func()
}

func (r *racing) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	page, err := r.ledger.History(ctx, channel, q)
	if q.Limit == 256 {
		r.once.Do(r.meanwhile)
	}
	return page, err
}

// A gap that the others are told after the last page was read for a client, and before it
// is level, reaches that client, too.
func TestGapBetweenLastPageAndLevel(t *testing.T) {
	for _, c := range []struct {
		name string
		hole func(l *ledger)
		want string
	}{
		{"missing", func(l *ledger) { l.skip("c") }, "subscribed true\nc 1\nc 2\ngap c\nc 4\n"},
		{"new epoch", func(l *ledger) { l.loseEnd("c") }, "subscribed true\nc 1\nc 2\ngap c\nc 4\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLedger()
				r := &racing{ledger: l}
				r.meanwhile = func() {
					l.say("c", "2", true)
					time.Sleep(time.Second)
					if c.name == "new epoch" {
						l.say("c", "3", false)
					}
					c.hole(l)
					l.say("c", "4", true)
					time.Sleep(time.Second)
				}
				h := newHub(t, r, quiet)
				defer h.Close()
				first := l.say("c", "0", false)
				l.say("c", "1", false)
				other := join(t, h, &lines{}, false, "c")
				defer other.leave()
				client := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: first})
				defer client.leave()
				heard := make(chan string, 1)
				go func() { heard <- readUntil(client, "c end\n") }()
				time.Sleep(3 * time.Second)
				l.say("c", "end", true)
				if got := readUntil(other, "c end\n"); !strings.Contains(got, "gap c") {
					t.Errorf("the other heard %q", got)
				}
				if got := <-heard; !strings.Contains(got, "gap c") {
					t.Errorf("the client heard %q and no gap", got)
				}
			})
		})
	}
}

// A markedLedger has marks as scripted.
type markedLedger struct {
	*ledger
	mark  func(channels []string) error
	marks func(channels []string) ([]broker.Position, error)
}

func (m *markedLedger) Mark(_ context.Context, channels ...string) error { return m.mark(channels) }
func (m *markedLedger) Marks(_ context.Context, channels ...string) ([]broker.Position, error) {
	return m.marks(channels)
}

func none(channels []string) ([]broker.Position, error) {
	return make([]broker.Position, len(channels)), nil
}

// One channel that cannot be marked keeps no other from being marked.
func TestMarkOfOneBadChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var marked atomic.Int64
		l := &markedLedger{ledger: newLedger(), marks: none}
		l.mark = func(channels []string) error {
			for _, c := range channels {
				if c == "bad" {
					return fmt.Errorf("bad: %w", broker.ErrDenied)
				}
			}
			for _, c := range channels {
				if c == "good" {
					marked.Add(1)
				}
			}
			return nil
		}
		h := newHub(t, l, quiet)
		defer h.Close()
		c := join(t, h, &lines{}, false, "bad", "good")
		defer c.leave()
		l.feed.Push(broker.Message{Channel: "bad", Data: []byte("x")})
		time.Sleep(time.Second)
		l.feed.Push(broker.Message{Channel: "good", Data: []byte("x")})
		time.Sleep(10 * time.Minute)
		if marked.Load() == 0 {
			t.Error("good was not marked within ten minutes")
		}
	})
}

// A loss while an earlier one is settled is settled, too.
func TestLossWhileSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &markedLedger{ledger: newLedger(), mark: func([]string) error { return nil }}
		var mark broker.Position
		var once sync.Once
		l.marks = func(channels []string) ([]broker.Position, error) {
			found, _ := none(channels)
			found[0] = mark
			once.Do(func() { // the broker has answered; then another node marks, and the link is lost again
				mark = broker.Position{Epoch: 100, Seq: 0}
				l.feed.Gap(broker.LinkLost, "c")
				time.Sleep(time.Millisecond)
			})
			return found, nil
		}
		h := newHub(t, l, quiet)
		defer h.Close()
		l.say("c", "0", false)
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.feed.Gap(broker.LinkLost, "c")
		time.Sleep(5 * time.Second)
		l.say("c", "end", true)
		if got := readUntil(c, "c end\n"); !strings.Contains(got, "gap") {
			t.Errorf("heard %q and no gap", got)
		}
	})
}

// What could not be settled is marked: a client that comes back is not recovered.
func TestSurrenderedIsMarked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var marked, down atomic.Bool
		down.Store(true)
		l := &markedLedger{ledger: newLedger()}
		l.mark = func([]string) error { marked.Store(true); return nil }
		l.marks = func(c []string) ([]broker.Position, error) {
			if down.Load() {
				return nil, broker.ErrUnavailable
			}
			m, _ := none(c)
			if !marked.Load() {
				m[0] = broker.Position{Epoch: 100, Seq: 0} // an older stranger's
			}
			return m, nil
		}
		h := newHub(t, l, quiet)
		defer h.Close()
		l.say("c", "0", false)
		at := l.say("c", "1", false)
		c := join(t, h, &lines{}, false, "c")
		defer c.leave()
		l.feed.Gap(broker.LinkLost, "c")
		time.Sleep(3 * time.Minute)
		down.Store(false)
		back := joinFrom(t, h, &lines{}, sockets, transport.Start{Since: true, After: at})
		defer back.leave()
		if got := back.read(t, 1); strings.Contains(got, "true") {
			t.Errorf("told %q", got)
		}
		if !marked.Load() {
			t.Error("not marked")
		}
	})
}

// readUntil returns all that c gets up to a line.
func readUntil(c *client, line string) string {
	var b strings.Builder
	buf := make([]byte, 1)
	for !strings.HasSuffix(b.String(), line) {
		if _, err := c.peer.Read(buf); err != nil {
			return b.String() + err.Error()
		}
		b.Write(buf)
	}
	return b.String()
}

// slowMarks cannot write marks.
type slowMarks struct{ *ledger }

func (slowMarks) Mark(ctx context.Context, _ ...string) error {
	<-ctx.Done()
	return ctx.Err()
}
func (slowMarks) Marks(_ context.Context, channels ...string) ([]broker.Position, error) {
	found := make([]broker.Position, len(channels))
	for i, c := range channels {
		if c != "plain" {
			found[i] = broker.Position{Epoch: 100}
		}
	}
	return found, nil
}

// Channels that cannot be marked keep no others waiting.
func TestSettlingKeepsNoOtherWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		h := newHub(t, slowMarks{l}, hub.Options{PingInterval: time.Hour, PongTimeout: 2 * time.Hour})
		defer h.Close()
		channels := []string{"plain"}
		for i := range 20 {
			channels = append(channels, fmt.Sprint("stranger", i))
		}
		for _, c := range channels {
			l.say(c, "0", false)
		}
		other := join(t, h, &lines{}, false, channels[1:]...)
		defer other.leave()
		c := join(t, h, &lines{}, false, "plain")
		defer c.leave()
		time.Sleep(time.Second)
		l.feed.Gap(broker.LinkLost, channels...)
		time.Sleep(time.Millisecond)
		began := time.Now()
		l.say("plain", "1", true)
		got := c.read(t, 1)
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("heard %q after %v", got, took)
		}
	})
}

// badMarks knows no marks of the channel unsettled.
type badMarks struct{ *ledger }

func (badMarks) Mark(context.Context, ...string) error { return nil }
func (badMarks) Marks(_ context.Context, channels ...string) ([]broker.Position, error) {
	for _, c := range channels {
		if c == "unsettled" {
			return nil, broker.ErrUnavailable
		}
	}
	return make([]broker.Position, len(channels)), nil
}

// Clients of a channel that is not settled keep no others waiting for their turn.
func TestUnsettledKeepsNoTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		h := newHub(t, badMarks{l}, hub.Options{PingInterval: time.Hour, PongTimeout: 2 * time.Hour})
		defer h.Close()
		p := l.say("unsettled", "0", false)
		q := l.say("plain", "0", false)
		l.say("plain", "1", false)
		for range 1000 {
			c := joinAt(t, h, &lines{}, sockets, "unsettled", transport.Start{Since: true, After: p})
			defer c.leave()
		}
		time.Sleep(100 * time.Millisecond)
		began := time.Now()
		c := joinAt(t, h, &lines{}, sockets, "plain", transport.Start{Since: true, After: q})
		defer c.leave()
		got := c.read(t, 2)
		if took := time.Since(began); took > time.Second {
			t.Errorf("got %q after %v", got, took)
		}
	})
}
