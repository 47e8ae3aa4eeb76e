package hub_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

func answer(s transport.Subscribed) ([]byte, bool) {
	return fmt.Appendf(nil, "subscribed %s %v\n", s.Channel, s.Recovered), true
}

// One has a channel once at a time, and none after leaving.
func TestSubscribedOnce(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		c := join(t, h, &lines{}, false)
		defer c.leave()
		subscribe := func() error { return c.session.Subscribe(t.Context(), transport.Subscription{Channel: "c"})[0] }
		for range 2 {
			if err := subscribe(); err != nil {
				t.Fatal(err)
			}
			if err := subscribe(); !errors.Is(err, transport.ErrSubscribed) {
				t.Errorf("the second time: %v", err)
			}
			l.say("c", "hola", true)
			if got := c.read(t, 1); got != "c hola\n" {
				t.Errorf("got %q", got)
			}
			c.session.Unsubscribe("c", nil)
		}
		c.session.Unsubscribe("never", word("last\n"))
		c.session.Say([]byte("said\n"))
		if got := c.read(t, 2); got != "last\nsaid\n" {
			t.Errorf("got %q", got)
		}
		c.session.Leave()
		if err := subscribe(); !errors.Is(err, transport.ErrLeft) {
			t.Errorf("after leaving: %v", err)
		}
		c.session.Unsubscribe("c", word("after leaving\n"))
	})
}

// What becomes of one channel says nothing of the others.
func TestEachChannelItsOwnVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		b.add = func(channels []string) error {
			for _, name := range channels {
				if name == "secret" {
					return broker.ErrDenied
				}
			}
			return nil
		}
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		c := join(t, h, &lines{}, false)
		defer c.leave()
		var subs []transport.Subscription
		for _, name := range []string{"a", "secret", "__pregon", "a", "b"} {
			subs = append(subs, transport.Subscription{Channel: name})
		}
		errs := c.session.Subscribe(t.Context(), subs...)
		for i, want := range []error{nil, broker.ErrDenied, hub.ErrSubscriber, transport.ErrSubscribed, nil} {
			if !errors.Is(errs[i], want) || want == nil && errs[i] != nil {
				t.Errorf("%s: %v, want %v", subs[i].Channel, errs[i], want)
			}
		}
		if errs := c.session.Subscribe(t.Context(), subs[0], subs[4]); !errors.Is(errs[0], transport.ErrSubscribed) || !errors.Is(errs[1], transport.ErrSubscribed) {
			t.Errorf("those that were confirmed: %v", errs)
		}
	})
}

// A slow encoding waits for a token with each message.
type slow struct {
	lines
	gate chan struct{}
}

func (s *slow) Message(m broker.Message) []byte { <-s.gate; return s.lines.Message(m) }

// A message that is on its way when a client subscribes, and at which its answer says that it
// begins, does not come behind that.
func TestSubscribeWhileAMessageIsOnItsWay(t *testing.T) {
	withHistory(t, hub.Options{Workers: 1}, func(t *testing.T, l *ledger, h *hub.Hub) {
		e := &slow{gate: make(chan struct{})}
		other := join(t, h, e, false, "c")
		defer other.leave()
		first := l.say("c", "first", true)
		synctest.Wait()
		c := join(t, h, e, false)
		defer c.leave()
		sub := transport.Subscription{Channel: "c", Answer: func(s transport.Subscribed) ([]byte, bool) {
			if s.Position != first {
				t.Errorf("it begins at %v", s.Position)
			}
			return answer(s)
		}}
		if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		close(e.gate)
		synctest.Wait()
		l.say("c", "second", true)
		if got := c.read(t, 2); got != "subscribed c false\nc second\n" {
			t.Errorf("it hears %q", got)
		}
		if got := other.read(t, 2); got != "c first\nc second\n" {
			t.Errorf("the other hears %q", got)
		}
	})
}

// Nothing of the channel comes ahead of the answer, however much others hear meanwhile,
// and all that comes behind where the answer says that it begins.
func TestAnswerComesFirst(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		other := join(t, h, &lines{}, false, "c")
		defer other.leave()
		go func() {
			for i := range 200 {
				l.say("c", strconv.Itoa(i), true)
			}
		}()
		c := join(t, h, &lines{}, false)
		defer c.leave()
		var at broker.Position
		sub := transport.Subscription{Channel: "c", Answer: func(s transport.Subscribed) ([]byte, bool) {
			at = s.Position
			return answer(s)
		}}
		if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.say("c", "last", true)
		if got := c.read(t, 1); got != "subscribed c false\n" {
			t.Fatalf("first came %q", got)
		}
		from := 0
		if at != transport.Outset {
			from = int(at.Seq) + 1
		}
		for i := from; i < 200; i++ {
			if got, want := c.read(t, 1), fmt.Sprintf("c %d\n", i); got != want {
				t.Fatalf("got %q, want %q: it begins at %v", got, want, at)
			}
		}
		if got := c.read(t, 1); got != "c last\n" {
			t.Errorf("last came %q", got)
		}
	})
}

// An end in the middle of a replay is an end: nothing comes behind the last word, and a
// new stay begins where it asks.
func TestUnsubscribeWhileCatchingUp(t *testing.T) {
	withHistory(t, hub.Options{}, func(t *testing.T, l *ledger, h *hub.Hub) {
		const n = 2000
		var first broker.Position
		for i := range n {
			if p := l.say("c", strconv.Itoa(i), false); i == 0 {
				first = p
			}
		}
		small := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 300, WriteTimeout: time.Hour, Linger: time.Hour})
		ours, peer := net.Pipe()
		s := small.New()
		s.Attach(ours)
		session, err := open(context.Background(), h, s, &lines{}, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Uncork()
		c := &client{session, s, peer}
		defer c.leave()
		since := transport.Subscription{Channel: "c", Start: transport.Start{Since: true, After: first}, Answer: answer}
		if err := session.Subscribe(t.Context(), since)[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // some pages wait for the client now
		session.Unsubscribe("c", word("unsubscribed\n"))
		if err := session.Subscribe(t.Context(), transport.Subscription{Channel: "c", Answer: answer})[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.say("c", "live", true)
		if got := c.read(t, 1); got != "subscribed c true\n" {
			t.Fatalf("first came %q", got)
		}
		i, line := 1, ""
		for line = c.read(t, 1); line == fmt.Sprintf("c %d\n", i); line = c.read(t, 1) {
			i++
		}
		if rest := line + c.read(t, 2); i == n || rest != "unsubscribed\nsubscribed c false\nc live\n" {
			t.Errorf("behind %d messages came %q", i, rest)
		}
	})
}

// A client that is being closed hears nothing of what it subscribes then.
func TestSubscribeWhileClosing(t *testing.T) {
	withHistory(t, hub.Options{EndRate: 1, PingInterval: time.Hour, PongTimeout: 2 * time.Hour}, func(t *testing.T, l *ledger, h *hub.Hub) {
		l.say("c", "before", false)
		ours, peer := net.Pipe()
		s := sockets.New()
		s.Attach(ours)
		first := join(t, h, &mute{}, false, "c") // the first whose turn it is to be closed
		defer first.leave()
		session, err := open(t.Context(), h, s, &mute{}, []string{"c"})
		if err != nil {
			t.Fatal(err)
		}
		s.Uncork()
		c := &client{session, s, peer}
		defer c.leave()
		l.renew()
		l.say("c", "1", true)
		time.Sleep(500 * time.Millisecond) // of the bubble's: it is muted, and is to be closed after a second
		if err := session.Subscribe(t.Context(), transport.Subscription{Channel: "d"})[0]; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.say("d", "live", true)
		synctest.Wait()
		if got, want := c.read(t, 1), fmt.Sprintf("end %d\n", transport.CloseGap); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}
