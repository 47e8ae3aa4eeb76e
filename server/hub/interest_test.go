package hub_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A scripted broker is a memory one whose feeds do first what the test says.
type scripted struct {
	broker.Broker
	add, remove func(channels []string) error // called before the feed's own
	end         chan error                    // ends the feed that is read
}

func script() *scripted {
	nothing := func([]string) error { return nil }
	return &scripted{Broker: memory.New(), add: nothing, remove: nothing, end: make(chan error)}
}

func (b *scripted) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := b.Broker.Feed(ctx)
	if err != nil {
		return nil, err
	}
	s := &scriptedFeed{Feed: f, b: b, next: make(chan item), quit: make(chan struct{})}
	go s.pump()
	return s, nil
}

type item struct {
	m   broker.Message
	err error
}

type scriptedFeed struct {
	broker.Feed
	b    *scripted
	next chan item
	quit chan struct{}
	once sync.Once
}

// Close implements broker.Feed.
func (f *scriptedFeed) Close() error {
	f.once.Do(func() { close(f.quit) })
	return f.Feed.Close()
}

func (f *scriptedFeed) Subscribe(ctx context.Context, channels ...string) error {
	if err := f.b.add(channels); err != nil {
		return err
	}
	return f.Feed.Subscribe(ctx, channels...)
}

func (f *scriptedFeed) Unsubscribe(ctx context.Context, channels ...string) error {
	if err := f.b.remove(channels); err != nil {
		return err
	}
	return f.Feed.Unsubscribe(ctx, channels...)
}

// pump makes what the feed says wait beside the end that the test may want.
func (f *scriptedFeed) pump() {
	for {
		m, err := f.Feed.Next()
		select {
		case f.next <- item{m, err}:
		case <-f.quit:
			return
		}
	}
}

func (f *scriptedFeed) Next() (broker.Message, error) {
	select {
	case i := <-f.next:
		return i.m, i.err
	case err := <-f.b.end:
		return broker.Message{}, err
	case <-f.quit:
		return broker.Message{}, broker.ErrClosed
	}
}

// Whoever comes while the broker is taking a channel away waits until it is
// there again.
func TestJoinWhileRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		removing, goOn := make(chan struct{}), make(chan struct{})
		b.remove = func([]string) error { close(removing); <-goOn; return nil }
		h := newHub(t, b, hub.Options{Workers: 1, UnsubscribeDelay: time.Minute})
		join(t, h, &lines{}, false, "c").leave()
		<-removing
		joined := make(chan *client)
		go func() { joined <- join(t, h, &lines{}, false, "c") }()
		synctest.Wait()
		select {
		case <-joined:
			t.Fatal("joined a channel that is being removed")
		default:
		}
		close(goOn)
		c := <-joined
		publish(t, b, "c", "heard")
		if got := c.read(t, 1); got != "c heard\n" {
			t.Error(got)
		}
		c.leave()
		h.Close()
		_ = b.Close()
	})
}

// When a feed ends by itself its subscribers are told at once, and again when
// their channels are there: what came in between is missing, too.
func TestFeedEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		h := newHub(t, b, hub.Options{Workers: 1})
		c := join(t, h, &lines{}, false, "c")
		goOn := make(chan struct{})
		b.add = func([]string) error { <-goOn; return nil }
		b.end <- errors.New("the backend is gone")
		if got := c.read(t, 1); got != "gap c\n" {
			t.Error("at the end:", got)
		}
		publish(t, b, "c", "missed")
		close(goOn)
		if got := c.read(t, 1); got != "gap c\n" {
			t.Error("after the end:", got)
		}
		publish(t, b, "c", "heard")
		if got := c.read(t, 1); got != "c heard\n" {
			t.Error(got)
		}
		c.leave()
		h.Close()
		_ = b.Close()
	})
}

// A channel that the broker refuses is asked for again by the next who wants it,
// and after the end of a feed, and keeps no other waiting.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		refuse := func(channels []string) error {
			for _, name := range channels {
				if name == "secret" {
					return broker.ErrDenied
				}
			}
			return nil
		}
		b.add = refuse
		h := newHub(t, b, hub.Options{Workers: 1})
		for range 3 {
			_, err := open(context.Background(), h, sockets.New(), &lines{}, []string{"open", "secret"})
			if !errors.Is(err, hub.ErrNotConfirmed) || !errors.Is(err, broker.ErrDenied) {
				t.Error("refused with", err)
			}
			b.end <- errors.New("the backend is gone")
		}
		c := join(t, h, &lines{}, false, "open")
		c.leave()
		h.Close()
		_ = b.Close()
	})
}

// Close ends the connections that are there, whatever their clients do.
func TestCloseEndsConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		h := newHub(t, b, hub.Options{Workers: 2, EndRate: 1})
		var clients []*client
		for range 10 { // nobody reads or leaves
			clients = append(clients, join(t, h, &lines{}, false, "c"))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		h.Drain(ctx, time.Hour)
		cancel()
		h.Close()
		for _, c := range clients {
			if _, err := c.peer.Write([]byte("x")); err == nil {
				t.Error("a connection is open after Close")
			}
			c.session.Leave()
		}
		_, err := open(context.Background(), h, sockets.New(), &lines{}, []string{"c"})
		if !errors.Is(err, hub.ErrDraining) {
			t.Error("join after Close:", err)
		}
		_ = b.Close()
	})
	sockets.Wait()
}

// A session that is asked to leave over no time leaves at once, whatever rate
// was asked for before.
func TestDrainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		h := newHub(t, b, hub.Options{Workers: 1, EndRate: 1})
		began := time.Now()
		for range 100 {
			c := join(t, h, &lines{}, false, "c")
			go func() { c.read(t, 1); c.leave() }()
		}
		go h.Drain(context.Background(), time.Hour)
		synctest.Wait()
		h.Drain(context.Background(), 0)
		if took := time.Since(began); took > 2*time.Second {
			t.Error("took", took)
		}
		h.Close()
		_ = b.Close()
	})
}

// A channel that was there before its link was lost is joined once the link has it
// again, not before: open means subscribed.
func TestJoinWhileTheLinkIsDown(t *testing.T) {
	for _, restored := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			b := script()
			h := newHub(t, b, hub.Options{Workers: 1})
			early := join(t, h, &lines{}, false, "c")
			var down atomic.Bool
			down.Store(true)
			b.add = func([]string) error {
				if down.Load() {
					return broker.ErrUnavailable
				}
				return nil
			}
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			defer cancel()
			s := sockets.New()
			joined := make(chan error, 1)
			go func() {
				session, err := open(ctx, h, s, &lines{}, []string{"c"})
				if err == nil {
					session.Leave()
				}
				joined <- err
			}()
			time.Sleep(2 * time.Second) // of the bubble's time
			select {
			case err := <-joined:
				t.Errorf("joined while the link is down: %v", err)
				joined <- err
			default:
			}
			down.Store(!restored)
			err := <-joined
			if restored && err != nil || !restored && !(errors.Is(err, hub.ErrNotConfirmed) && errors.Is(err, broker.ErrUnavailable)) {
				t.Errorf("link restored %v: %v", restored, err)
			}
			early.leave()
			h.Close()
			_ = b.Close()
		})
	}
}

// A channel that cannot be subscribed, for whatever reason, keeps no other waiting,
// and is tried again for those who want it.
func TestOneBadChannel(t *testing.T) {
	for name, bad := range map[string]error{"denied": broker.ErrDenied, "not valid": errors.New("not a subject")} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := script()
				var healed atomic.Bool
				b.add = func(channels []string) error {
					if slices.Contains(channels, "bad") && !healed.Load() {
						return bad
					}
					return nil
				}
				h := newHub(t, b, hub.Options{Workers: 1})
				var joins sync.WaitGroup
				for i := range 20 {
					channel := fmt.Sprint("good", i)
					if i == 7 {
						channel = "bad"
					}
					joins.Go(func() {
						began := time.Now()
						session, err := open(context.Background(), h, sockets.New(), &lines{}, []string{channel})
						if err == nil {
							session.Leave()
						}
						if (channel == "bad") != errors.Is(err, bad) || time.Since(began) > time.Second {
							t.Errorf("%s: %v after %v", channel, err, time.Since(began))
						}
					})
				}
				joins.Wait()
				healed.Store(true)
				join(t, h, &lines{}, false, "bad").leave()
				h.Close()
				_ = b.Close()
			})
		})
	}
}

// Subscribers whose channel is refused when a feed has to be replaced get it back when
// it is no longer.
func TestRefusedForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		h := newHub(t, b, quiet)
		c := join(t, h, &lines{}, false, "c")
		var refused atomic.Bool
		refused.Store(true)
		b.add = func(channels []string) error {
			if slices.Contains(channels, "c") && refused.Load() {
				return broker.ErrDenied
			}
			return nil
		}
		b.end <- errors.New("the backend is gone")
		if got := c.read(t, 1); got != "gap c\n" {
			t.Error("at the end:", got)
		}
		synctest.Wait()
		refused.Store(false)
		if got := c.read(t, 1); got != "gap c\n" {
			t.Error("when it is back:", got)
		}
		publish(t, b, "c", "heard")
		if got := c.read(t, 1); got != "c heard\n" {
			t.Error(got)
		}
		c.leave()
		h.Close()
		_ = b.Close()
	})
}

// What the broker fails to remove is removed later, and nobody waits for that.
func TestRemoveIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := script()
		var removed atomic.Int64
		b.remove = func([]string) error {
			if removed.Add(1) < 4 {
				return broker.ErrUnavailable
			}
			return nil
		}
		h := newHub(t, b, hub.Options{Workers: 1, UnsubscribeDelay: time.Second})
		join(t, h, &lines{}, false, "c").leave()
		time.Sleep(2 * time.Second)
		join(t, h, &lines{}, false, "other").leave() // while the other is tried
		time.Sleep(time.Minute)
		if n := removed.Load(); n < 4 || n > 6 {
			t.Errorf("tried to remove %d times", n)
		}
		if n := h.Stats().Channels; n != 1 {
			t.Errorf("%d channels are left, want the hub's own", n)
		}
		h.Close()
		_ = b.Close()
	})
}

// What no client can have is refused at once, alone, and with a reason.
func TestJoinRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		h := newHub(t, b, hub.Options{Workers: 1})
		for name, channels := range map[string][]string{
			"an empty name":   {"a", ""},
			"a reserved name": {"__pregon.heartbeat.x"},
			"a control":       {"a\x00"},
		} {
			if _, err := open(context.Background(), h, sockets.New(), &lines{}, channels); !errors.Is(err, hub.ErrSubscriber) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := open(context.Background(), h, sockets.New(), &lines{}, []string{"a", "b", "a"}); !errors.Is(err, transport.ErrSubscribed) {
			t.Errorf("the same twice: %v", err)
		}
		if _, err := h.Join(context.Background(), transport.Subscriber{}, nil); !errors.Is(err, hub.ErrSubscriber) {
			t.Errorf("no socket: %v", err)
		}
		join(t, h, &lines{}, false, "a", "b").leave()
		if n := h.Sessions(); n != 0 {
			t.Errorf("%d sessions are left", n)
		}
		h.Close()
		_ = b.Close()
	})
}
