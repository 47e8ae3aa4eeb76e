package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A shelf is a ledger whose reading takes a time, or does not work for the channel "away". What it returns is a copy.
type shelf struct {
	*ledger
	takes time.Duration
	reads atomic.Int64 // of other channels
}

func (s *shelf) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if channel == "away" {
		return broker.Page{}, broker.ErrUnavailable
	}
	time.Sleep(s.takes)
	s.reads.Add(1)
	p, err := s.ledger.History(ctx, channel, q)
	for i := range p.Messages {
		p.Messages[i].Data = bytes.Clone(p.Messages[i].Data)
	}
	return p, err
}

// alongside joins a client that is sent up to limit bytes ahead of what it reads.
func alongside(t *testing.T, h *hub.Hub, limit int) *client {
	t.Helper()
	group := socket.NewGroup(socket.Limits{Bytes: limit, Messages: 1 << 14, WriteTimeout: time.Hour, Linger: time.Hour})
	ours, peer := net.Pipe()
	s, e := group.New(), &talker{}
	s.Attach(ours)
	session, err := h.Join(context.Background(), transport.Subscriber{Socket: s, Encoding: e, Control: e}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &client{session, s, peer}
}

// readsAll has c read all that comes, and calls heard for each line.
func (c *client) readsAll(heard func(line string)) {
	go func() {
		for lines := bufio.NewReader(c.peer); ; {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			heard(line)
		}
	}()
}

// A channel whose history cannot be read keeps no other of the session waiting, also for a client that was slow.
func TestUnreadableBesideReadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &shelf{ledger: newLedger()}
		h := newHub(t, l, hub.Options{CatchUp: true})
		defer h.Close()
		c := alongside(t, h, 8<<20)
		defer c.leave()
		first := l.say("b", "0", false)
		for i := range 1000 {
			l.say("b", fmt.Sprint(i+1), false)
		}
		c.subscribe(t, "away")
		synctest.Wait()
		for range 20 { // it falls behind there
			l.say("away", strings.Repeat("x", 1<<20), true)
			synctest.Wait()
		}
		sub := answered("b")
		sub.Start = transport.Start{Since: true, After: first}
		if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began, all := time.Now(), make(chan time.Duration, 1)
		c.readsAll(func(line string) {
			if line == "b 1000\n" {
				all <- time.Since(began)
			}
		})
		c.socket.Uncork()
		if took := <-all; took > 10*time.Second {
			t.Errorf("the other channel came after %v", took)
		}
	})
}

// A client that reads well has many channels read at a time.
func TestManyChannelsAreReadTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels = 400
		l := &shelf{ledger: newLedger(), takes: 5 * time.Millisecond}
		h := newHub(t, l, hub.Options{CatchUp: true})
		defer h.Close()
		c := alongside(t, h, 8<<20)
		defer c.leave()
		var subs []transport.Subscription
		for i := range channels {
			sub := answered(fmt.Sprint("c", i))
			sub.Start = transport.Start{Since: true, After: l.say(sub.Channel, "0", false)}
			l.say(sub.Channel, "1", false)
			subs = append(subs, sub)
		}
		began, heard, all := time.Now(), 0, make(chan time.Duration, 1)
		c.readsAll(func(line string) {
			if strings.HasSuffix(line, " 1\n") {
				if heard++; heard == channels {
					all <- time.Since(began)
				}
			}
		})
		for _, err := range c.session.Subscribe(t.Context(), subs...) {
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		c.socket.Uncork()
		if took, one := <-all, channels*l.takes; took > one/2 {
			t.Errorf("it took %v, where one after the other are %v", took, one)
		}
	})
}

// A channel becomes level although another one of the session has kept as much as the session may.
func TestLevelBesideAFullOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &shelf{ledger: newLedger(), takes: 5 * time.Millisecond}
		h := newHub(t, l, hub.Options{CatchUp: true})
		defer h.Close()
		c := alongside(t, h, 8<<20)
		defer c.leave()
		c.socket.Uncork()
		c.readsAll(func(string) {})
		l.say("away", "0", false)
		first := l.say("b", "0", false)
		c.from(t, "away", 1)
		l.say("away", strings.Repeat("x", 1<<20-100), true)
		sub := answered("b")
		sub.Start = transport.Start{Since: true, After: first}
		if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			l.say("b", fmt.Sprintf("%0200d", i), true)
			time.Sleep(time.Millisecond)
		}
		if reads := l.reads.Load(); reads > 20 {
			t.Errorf("it was read %d times", reads)
		}
	})
}

// A slowFeed takes its time with the channel "slow".
type (
	slowBroker struct{ broker.Broker }
	slowFeed   struct{ broker.Feed }
)

func (b slowBroker) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := b.Broker.Feed(ctx)
	return slowFeed{f}, err
}

func (f slowFeed) Subscribe(ctx context.Context, channels ...string) error {
	if slices.Contains(channels, "slow") {
		time.Sleep(3 * time.Second)
	}
	return f.Feed.Subscribe(ctx, channels...)
}

// Where no history has it, what comes until a client's channels are confirmed is kept for each of them.
func TestKeptUntilConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const channels, messages = 8, 50
		b := memory.New()
		defer b.Close()
		h := newHub(t, slowBroker{b}, hub.Options{})
		defer h.Close()
		var subs []transport.Subscription
		for i := range channels {
			subs = append(subs, answered(fmt.Sprint("b", i)))
		}
		other, c := alongside(t, h, 8<<20), alongside(t, h, 8<<20)
		defer other.leave()
		defer c.leave()
		other.socket.Uncork()
		c.socket.Uncork()
		other.readsAll(func(string) {})
		other.session.Subscribe(t.Context(), subs...)
		var heard, gaps atomic.Int64
		c.readsAll(func(line string) {
			switch {
			case strings.HasPrefix(line, "b"):
				heard.Add(1)
			case strings.HasPrefix(line, "gap "):
				gaps.Add(1)
			}
		})
		done := make(chan struct{})
		go func() { defer close(done); c.session.Subscribe(t.Context(), append(subs, answered("slow"))...) }()
		synctest.Wait()
		for range messages {
			for i := range channels {
				publish(t, b, fmt.Sprint("b", i), strings.Repeat("x", 4096))
			}
		}
		<-done
		synctest.Wait()
		if heard.Load() != channels*messages || gaps.Load() > 0 {
			t.Errorf("%d of %d messages, and %d gaps", heard.Load(), channels*messages, gaps.Load())
		}
	})
}

// The answer of a stay that begins live comes although the stay is over before the worker has it.
func TestAnswerOfAShortStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, newLedger(), hub.Options{})
		defer h.Close()
		c := alongside(t, h, 8<<20)
		defer c.leave()
		c.socket.Uncork()
		sub := transport.Subscription{Channel: "c", Answer: func(transport.Subscribed) ([]byte, bool) {
			c.session.Unsubscribe("c", func() []byte { return []byte("bye\n") })
			return []byte("subscribed c\n"), true
		}}
		go c.session.Subscribe(t.Context(), sub)
		c.reads(t, "subscribed c\nbye\n")
	})
}
