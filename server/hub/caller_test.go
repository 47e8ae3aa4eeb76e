package hub_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

var errMayNot = errors.New("may not")

// A guest is a Caller who may hear what its host says.
type guest struct {
	ends time.Time

	mu      sync.Mutex
	banned  map[string]bool
	unknown bool
	in      map[string]int // Enter less Left
}

func (g *guest) Enter(_ context.Context, sub transport.Subscription) error {
	if err := g.Review(sub.Channel); err != nil {
		return err
	}
	g.note(sub.Channel, 1)
	return nil
}

func (g *guest) Begin(transport.Subscription, hub.Tell) func(hub.Ending) { return nil }

func (g *guest) Left(channel string) { g.note(channel, -1) }

func (g *guest) note(channel string, n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.in == nil {
		g.in = map[string]int{}
	}
	if g.in[channel] += n; g.in[channel] == 0 {
		delete(g.in, channel)
	}
}

// is returns in which channels g is, and how often.
func (g *guest) is() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return maps.Clone(g.in)
}

func (g *guest) Review(channel string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.banned[channel] {
		return errMayNot
	}
	return nil
}

func (g *guest) ban(channel string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.banned == nil {
		g.banned = map[string]bool{}
	}
	g.banned[channel] = true
}

func (g *guest) allow(channel string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.banned, channel)
}

// renew gives g another end.
func (g *guest) renew(ends time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ends = ends
}

func (g *guest) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.unknown = true
}

func (g *guest) IsKnown() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.unknown
}

func (g *guest) Ends() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends
}

func (g *guest) Gone() {}

// joinAs joins channels for a Caller.
func joinAs(t *testing.T, h *hub.Hub, by hub.Caller, channels ...string) *client {
	t.Helper()
	ours, peer := net.Pipe()
	s, e := sockets.New(), &lines{}
	s.Attach(ours)
	session, err := transport.Open(context.Background(), door{hub: h, caller: by},
		transport.Subscriber{Socket: s, Encoding: e, Control: e}, subscriptions(e, channels))
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	return &client{session, s, peer}
}

func end(reason transport.CloseReason) string { return fmt.Sprintf("end %d\n", reason) }

// A session ends when its Caller does, behind what was published before and not sooner, and
// those of others go on. One that has left is forgotten.
func TestSessionsEndWithTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 1, PingInterval: 100 * time.Hour})
		defer h.Close()
		stays := joinAs(t, h, &guest{}, "c")
		defer stays.leave()
		ends := map[string]*client{}
		for name, in := range map[string]time.Duration{"second": 2 * time.Hour, "first": time.Hour, "third": 3 * time.Hour} {
			ends[name] = joinAs(t, h, &guest{ends: time.Now().Add(in)}, "c")
			defer ends[name].leave()
		}
		joinAs(t, h, &guest{ends: time.Now().Add(90 * time.Minute)}, "c").leave()
		for _, name := range []string{"first", "second", "third"} {
			time.Sleep(time.Hour - time.Minute)
			publish(t, b, "c", "before")
			synctest.Wait()
			for other, c := range ends {
				if got := c.read(t, 1); got != "c before\n" {
					t.Errorf("%s: got %q", other, got)
				}
			}
			stays.read(t, 1)
			time.Sleep(time.Minute)
			if got := ends[name].read(t, 1); got != end(transport.CloseExpired) {
				t.Errorf("%s: got %q", name, got)
			}
			delete(ends, name)
		}
	})
}

// A session that comes too late ends at once.
func TestExpiredSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		h := newHub(t, b, hub.Options{})
		defer h.Close()
		c := joinAs(t, h, &guest{ends: time.Now().Add(-time.Hour)}, "c")
		defer c.leave()
		if got := c.read(t, 1); got != end(transport.CloseExpired) {
			t.Errorf("got %q", got)
		}
	})
}

// A review ends those who may not hear one of their channels any more, or whose Caller is
// not known, with what was published before; the others notice nothing. It comes to all, in
// however many steps.
func TestReview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 2})
		defer h.Close()
		fine, one, unknown, idle := &guest{}, &guest{}, &guest{}, &guest{}
		kept, ended := map[*client]*guest{}, map[*client]*guest{}
		for range 300 {
			kept[joinAs(t, h, fine, "a", "b")] = fine
			ended[joinAs(t, h, one, "a", "b")] = one
			ended[joinAs(t, h, unknown, "a")] = unknown
			ended[joinAs(t, h, idle)] = idle
		}
		publish(t, b, "a", "before")
		synctest.Wait()
		one.ban("b")
		unknown.forget()
		idle.forget()
		for range 10 {
			h.Review()
		}
		for c, by := range ended {
			if by != idle {
				if got := c.read(t, 1); got != "a before\n" {
					t.Fatalf("got %q", got)
				}
			}
			if got := c.read(t, 1); got != end(transport.CloseForbidden) {
				t.Fatalf("got %q", got)
			}
			c.leave()
		}
		publish(t, b, "b", "after")
		for c := range kept {
			if got := c.read(t, 2); got != "a before\nb after\n" {
				t.Fatalf("got %q", got)
			}
			c.leave()
		}
		for _, by := range []*guest{fine, one, unknown, idle} {
			if in := by.is(); len(in) > 0 {
				t.Errorf("there are %v left", in)
			}
		}
	})
}

// Who loses a channel while the broker has yet to confirm it does not get it, whether the
// review comes to the session or not.
func TestSubscribingWhileReviewed(t *testing.T) {
	for _, reviewed := range []bool{true, false} {
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
			c := joinAs(t, h, by)
			defer c.leave()
			result := make(chan error, 1)
			go func() { result <- c.session.Subscribe(t.Context(), transport.Subscription{Channel: "c"})[0] }()
			synctest.Wait()
			by.ban("c")
			if reviewed {
				h.Review()
				if got := c.read(t, 1); got != end(transport.CloseForbidden) {
					t.Errorf("got %q", got)
				}
			}
			close(confirm)
			if err := <-result; !errors.Is(err, errMayNot) {
				t.Errorf("reviewed %v: %v", reviewed, err)
			}
			if n := h.Subscribers("c"); n != 0 || len(by.is()) > 0 {
				t.Errorf("there are %d, %v", n, by.is())
			}
		})
	}
}

// For each time that a Caller was let in it is told once that that is over, however that
// came.
func TestCallersAreToldWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		b.add = func(channels []string) error {
			if channels[0] == "never" {
				return errMayNot
			}
			return nil
		}
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		by := &guest{}
		by.ban("banned")
		c := joinAs(t, h, by)
		subscribe := func(channels ...string) {
			for _, channel := range channels {
				c.session.Subscribe(t.Context(), transport.Subscription{Channel: channel})
			}
		}
		is := func(want map[string]int) {
			t.Helper()
			if got := by.is(); !maps.Equal(got, want) {
				t.Errorf("in %v, want %v", got, want)
			}
		}
		subscribe("a", "b", "a", "banned", "never", "__a")
		is(map[string]int{"a": 1, "b": 1})
		c.session.Unsubscribe("a", nil)
		c.session.Unsubscribe("a", nil)
		is(map[string]int{"b": 1})
		subscribe("a")
		c.leave()
		c.session.Leave()
		is(nil)
		subscribe("a")
		is(nil)
	})
}
