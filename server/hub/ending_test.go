package hub_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A talker has an encoding and a Control whose client can be told of the end of one channel.
type talker struct{ lines }

func (*talker) End(channel string, reason transport.CloseReason) []byte {
	return fmt.Appendf(nil, "ended %s %d\n", channel, reason)
}

// converse joins a client that answers each of its subscriptions.
func converse(t *testing.T, h *hub.Hub, by hub.Caller) *client {
	t.Helper()
	ours, peer := net.Pipe()
	s, e := sockets.New(), &talker{}
	s.Attach(ours)
	session, err := h.Join(context.Background(), transport.Subscriber{Socket: s, Encoding: e, Control: e}, by)
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	return &client{session, s, peer}
}

// answered is a Subscription whose client is told that it has begun.
func answered(channel string) transport.Subscription {
	return transport.Subscription{Channel: channel, Answer: func(s transport.Subscribed) ([]byte, bool) {
		return fmt.Appendf(nil, "subscribed %s\n", s.Channel), true
	}}
}

func (c *client) subscribe(t *testing.T, channels ...string) {
	t.Helper()
	for _, channel := range channels {
		if err := c.session.Subscribe(t.Context(), answered(channel))[0]; err != nil {
			t.Fatal(err)
		}
	}
}

func (c *client) reads(t *testing.T, want string) {
	t.Helper()
	if got := c.read(t, strings.Count(want, "\n")); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

var forbidden = fmt.Sprint(int(transport.CloseForbidden))

// A client that can be told of the end of one channel loses that one alone, behind what was
// published before, and its Caller is told that the stay is over.
func TestReviewEndsOneChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		by := &guest{}
		c := converse(t, h, by)
		defer c.leave()
		c.subscribe(t, "a", "b")
		publish(t, b, "b", "before")
		synctest.Wait()
		by.ban("b")
		h.Review()
		synctest.Wait()
		publish(t, b, "b", "after")
		publish(t, b, "a", "still")
		c.reads(t, "subscribed a\nsubscribed b\nb before\nended b "+forbidden+"\na still\n")
		if in := by.is(); !maps.Equal(in, map[string]int{"a": 1}) || h.Subscribers("b") != 0 {
			t.Errorf("in %v, and %d hear b", in, h.Subscribers("b"))
		}
		if err := c.session.Subscribe(t.Context(), answered("b"))[0]; !errors.Is(err, errMayNot) {
			t.Error(err)
		}
		by.forget()
		h.Review()
		c.reads(t, end(transport.CloseForbidden))
	})
}

// A session whose Caller has another credential ends when that does, not when the first would
// have, and is told of the channels that it has lost ahead of the answer.
func TestRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 1, PingInterval: 100 * time.Hour})
		defer h.Close()
		by := &guest{ends: time.Now().Add(time.Hour)}
		c := converse(t, h, by)
		defer c.leave()
		c.subscribe(t, "a", "b")
		synctest.Wait()
		by.ban("b")
		by.renew(time.Now().Add(3 * time.Hour))
		c.session.Renewed([]byte("renewed\n"))
		c.reads(t, "subscribed a\nsubscribed b\nended b "+forbidden+"\nrenewed\n")
		time.Sleep(2 * time.Hour)
		publish(t, b, "a", "later")
		c.reads(t, "a later\n")
		time.Sleep(time.Hour)
		c.reads(t, end(transport.CloseExpired))
	})
}

// A channel that is being subscribed when its Caller loses it is refused, and the client hears
// of that from Subscribe alone.
func TestConversingWhileReviewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		confirm := make(chan struct{})
		b.add = func(channels []string) error {
			if channels[0] == "c" {
				<-confirm
			}
			return nil
		}
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		by := &guest{}
		c := converse(t, h, by)
		defer c.leave()
		result := make(chan error, 1)
		go func() { result <- c.session.Subscribe(t.Context(), answered("c"))[0] }()
		synctest.Wait()
		by.ban("c")
		h.Review()
		synctest.Wait()
		close(confirm)
		if err := <-result; !errors.Is(err, errMayNot) {
			t.Error(err)
		}
		c.session.Say([]byte("done\n"))
		c.reads(t, "done\n")
	})
}

// A host is a guest that tells its clients something when they have begun, and notes how their
// stays end.
type host struct {
	guest
	mu    sync.Mutex
	tells map[string]hub.Tell
	ends  map[string]hub.Ending
}

func (g *host) Begin(sub transport.Subscription, tell hub.Tell) func(hub.Ending) {
	tell(func(transport.Encoding) []byte { return fmt.Appendf(nil, "welcome %s\n", sub.Channel) })
	g.mu.Lock()
	defer g.mu.Unlock()
	g.tells[sub.Channel] = tell
	return func(how hub.Ending) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ends[sub.Channel] = how
	}
}

// What a Caller tells its client comes behind the answer and never behind the end of the stay,
// whatever it began with, and the Caller is told how that ends.
func TestTell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Hour}).Broker()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		by := &host{tells: map[string]hub.Tell{}, ends: map[string]hub.Ending{}}
		c := converse(t, h, by)
		c.subscribe(t, "live")
		synctest.Wait() // there is no order between channels
		for _, start := range []transport.Start{{Last: 3}, {Since: true, After: transport.Outset}} {
			sub := answered(fmt.Sprint("from ", start.Since))
			sub.Start = start
			if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		c.reads(t, "subscribed live\nwelcome live\nsubscribed from false\nwelcome from false\nsubscribed from true\nwelcome from true\n")
		c.session.Unsubscribe("live", word("bye\n"))
		by.tells["live"](func(transport.Encoding) []byte { return []byte("too late\n") })
		by.ban("from true")
		h.Review()
		c.reads(t, "bye\nended from true "+forbidden+"\n")
		c.leave()
		synctest.Wait()
		by.mu.Lock()
		defer by.mu.Unlock()
		want := map[string]hub.Ending{"live": hub.Unsubscribed, "from true": hub.Unsubscribed, "from false": hub.Lost}
		if !maps.Equal(by.ends, want) {
			t.Errorf("ended %v, want %v", by.ends, want)
		}
	})
}

// However channels are subscribed and forbidden together, each stay that was answered is ended
// once, each that was refused was not answered, and nothing of a channel comes outside of a stay.
func TestStaysAmongReviews(t *testing.T) {
	b := memory.New()
	defer b.Close()
	h := newHub(t, b, hub.Options{Workers: 2})
	defer h.Close()
	by := &host{tells: map[string]hub.Tell{}, ends: map[string]hub.Ending{}}
	c := converse(t, h, by)
	heard := make(chan string)
	go func() {
		defer close(heard)
		for lines := bufio.NewScanner(c.peer); lines.Scan(); {
			heard <- lines.Text()
		}
	}()
	var subscribers sync.WaitGroup
	stop := make(chan struct{})
	reviewer := make(chan struct{})
	go func() {
		defer close(reviewer)
		for {
			select {
			case <-stop:
				return
			default:
				by.ban("c")
				h.Review()
				by.allow("c")
			}
		}
	}()
	subscribers.Go(func() {
		for n := range 2000 {
			if c.session.Subscribe(t.Context(), answered("c"))[0] == nil && n%3 == 0 {
				c.session.Unsubscribe("c", word("ended c by itself\n"))
			}
		}
		close(stop)
		<-reviewer
		by.ban("c")
		h.Review()
		c.session.Say([]byte("over\n"))
	})
	inside, over := false, false
	for line := range heard {
		switch {
		case line == "over": // the last review may be under way yet
			over = true
			_ = c.peer.SetReadDeadline(time.Now().Add(10 * time.Second))
		case line == "subscribed c" && !inside:
			inside = true
		case line == "welcome c" && inside:
		case line == "ended c by itself": // also of a stay that was ended before
			inside = false
		case strings.HasPrefix(line, "ended c ") && inside:
			inside = false
		default:
			t.Fatalf("%q, and inside is %v", line, inside)
		}
		if over && !inside {
			over = false
			c.leave()
		}
	}
	subscribers.Wait()
	h.Close() // a Caller is told that a stay is over after the client, and Close waits for it
	if in := by.is(); inside || len(in) > 0 {
		t.Errorf("inside %v, in %v", inside, in)
	}
}
