package link_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/link"
	"github.com/pregon/pregon/broker/redis/internal/pause"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
	"github.com/pregon/pregon/broker/redis/redistest"
)

const heartbeat = 2 * time.Second

// A world is a Feed and the server that it listens to, in a bubble of their own.
type world struct {
	*testing.T
	server *redistest.Fake
	feed   *link.Feed
	dials  atomic.Int64
	down   atomic.Bool // nothing can connect
	log    strings.Builder
	closed atomic.Int64
}

// in runs a test in a bubble, where time passes only while all wait. change may change
// the options.
func in(t *testing.T, answer func(args []string) string, test func(w *world), change ...func(*link.Options)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: redistest.NewFake(answer)}
		o := link.Options{
			Settings:  wire.Settings{Network: "tcp", DialTimeout: time.Second, Timeout: time.Second},
			Connect:   w.connect,
			Prefix:    "app:",
			Heartbeat: heartbeat,
			Reject:    func() { t.Error("a message was rejected where there is no history") },
			Closed:    func(*link.Feed) { w.closed.Add(1) },
			Logger:    slog.New(slog.NewTextHandler(&w.log, nil)),
		}
		for _, f := range change {
			f(&o)
		}
		w.feed = link.New(o)
		test(w)
		w.feed.Close()
		w.server.Stop()
	})
}

func (w *world) connect(context.Context) (*wire.Conn, error) {
	w.dials.Add(1)
	if w.down.Load() {
		return nil, fmt.Errorf("down: %w", broker.ErrUnavailable)
	}
	return wire.NewConn(w.server.Pipe(), "fake:6379"), nil
}

// add adds channels, which must be possible within a minute.
func (w *world) add(channels ...string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	if err := w.feed.Subscribe(ctx, channels...); err != nil {
		w.Fatalf("Subscribe(%q): %v", channels, err)
	}
}

// hear fails the test unless the next is text in channel.
func (w *world) hear(channel, text string) {
	w.Helper()
	if m, err := w.feed.Next(); err != nil || m.Channel != channel || string(m.Data) != text {
		w.Fatalf("Next returned %q in %q, %v; want %q in %q", m.Data, m.Channel, err, text, channel)
	}
}

// hearGap fails the test unless the next are gaps of these channels, of each one. Channels
// whose confirmations come apart may be told of apart.
func (w *world) hearGap(reason broker.GapReason, channels ...string) {
	w.Helper()
	var told []string
	for len(told) < len(channels) {
		m, err := w.feed.Next()
		var gap *broker.GapError
		if !errors.As(err, &gap) {
			w.Fatalf("Next returned %q, %v; want a gap", m.Data, err)
		}
		if gap.Reason != reason {
			w.Fatalf("a gap %s of %q, want %s of %q", gap.Reason, gap.Channels, reason, channels)
		}
		told = append(told, gap.Channels...)
	}
	if slices.Sort(told); !slices.Equal(told, channels) {
		w.Fatalf("gaps %s of %q, want of %q", reason, told, channels)
	}
}

// Channels are subscribed to by their names behind the prefix, and each message comes in
// the channel as it was added.
func TestAdd(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a", "b", "a")
		w.add("a")
		w.server.Say(redistest.Published("app:b", "1") + redistest.Published("other", "no") + redistest.Published("app:a", "2"))
		w.hear("b", "1")
		w.hear("a", "2")
		if got := w.server.Commands("subscribe"); len(got) != 1 || !slices.Equal(got[0], []string{"subscribe", "app:a", "app:b"}) {
			t.Errorf("the server was sent %q", got)
		}
	})
}

// A channel without a name is refused and nothing is sent.
func TestAddNoName(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		if err := w.feed.Subscribe(w.Context(), "a", ""); !errors.Is(err, reply.ErrNoName) {
			t.Errorf("Subscribe returned %v", err)
		}
		synctest.Wait()
		if got := w.server.Commands("subscribe"); len(got) > 0 {
			t.Errorf("the server was sent %q", got)
		}
	})
}

// After Unsubscribe a channel is silent, and what comes of it is dropped.
func TestRemove(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a", "b")
		if err := w.feed.Unsubscribe(w.Context(), "a", "never"); err != nil {
			t.Fatal(err)
		}
		w.server.Say(redistest.Published("app:a", "late") + redistest.Published("app:b", "1"))
		w.hear("b", "1")
		if got := w.server.Commands("unsubscribe"); len(got) != 1 || !slices.Equal(got[0], []string{"unsubscribe", "app:a"}) {
			t.Errorf("the server was sent %q", got)
		}
	})
}

// A lost link is made again and its channels are subscribed to again: they are told a
// gap, once, and what comes behind it is heard.
func TestRestored(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a", "b")
		w.server.Cut()
		w.hearGap(broker.LinkLost, "a", "b")
		w.server.Say(redistest.Published("app:a", "1"))
		w.hear("a", "1")
		if n := w.dials.Load(); n != 2 {
			t.Errorf("%d connections were made, want 2", n)
		}
	})
}

// Between attempts there are pauses, none too long: when the server is back so is the
// link within Max.
func TestPauses(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a")
		w.down.Store(true)
		w.server.Cut()
		const outage = 30 * time.Second
		time.Sleep(outage)
		if n, most := w.dials.Load(), int64(outage/pause.Min); n < int64(outage/pause.Max) || n > most {
			t.Errorf("%d attempts in %v", n, outage)
		}
		w.down.Store(false)
		back := time.Now()
		w.hearGap(broker.LinkLost, "a")
		if took := time.Since(back); took > pause.Max {
			t.Errorf("it took %v to be back", took)
		}
	})
}

// While the link is down Subscribe fails with what became of the attempt, and adds nothing.
func TestAddWhileDown(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.down.Store(true)
		synctest.Wait()
		w.server.Cut()
		if err := w.feed.Subscribe(w.Context(), "a"); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Subscribe returned %v", err)
		}
		w.down.Store(false)
		w.add("b")
		if got := w.server.Commands("subscribe"); len(got) != 1 || !slices.Equal(got[0], []string{"subscribe", "app:b"}) {
			t.Errorf("the server was sent %q", got)
		}
	})
}

// A connection that goes silent is noticed within two heartbeats, though nobody has
// closed it.
func TestSilent(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a")
		begun := time.Now()
		w.server.AnswerPing(redistest.Silent)
		for w.dials.Load() == 1 {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(begun); took < heartbeat || took > 2*heartbeat+pause.Max {
			t.Errorf("it was noticed after %v", took)
		}
		w.server.AnswerPing("+PONG\r\n")
		w.hearGap(broker.LinkLost, "a")
	})
}

// Where Redis answers its pings a link stays, however long nothing else comes.
func TestIdle(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a")
		time.Sleep(time.Hour)
		w.server.Say(redistest.Published("app:a", "1"))
		w.hear("a", "1")
		if n := w.dials.Load(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// A confirmation of what was not asked for means that messages may be missing.
func TestUnasked(t *testing.T) {
	for name, text := range map[string]string{
		"subscribe":   redistest.Confirm([]string{"subscribe", "app:a"}),
		"unsubscribe": redistest.Confirm([]string{"unsubscribe", "app:a"}),
		"pong":        "*2\r\n" + redistest.Bulk("pong") + redistest.Bulk(""),
		"error":       "-ERR unasked\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			in(t, redistest.Confirm, func(w *world) {
				w.add("a")
				w.server.Say(text)
				w.hearGap(broker.LinkLost, "a")
			})
		})
	}
}

// refusing answers SUBSCRIBE with a refusal where a forbidden channel is among those that
// it names.
func refusing(forbidden func(topic string) bool) func(args []string) string {
	return func(args []string) string {
		if args[0] == "subscribe" && slices.ContainsFunc(args[1:], forbidden) {
			return "-NOPERM No permissions to access a channel\r\n"
		}
		return redistest.Confirm(args)
	}
}

// What Redis refuses is refused to its caller; the link and other channels stay.
func TestRefused(t *testing.T) {
	in(t, refusing(func(topic string) bool { return topic == "app:no" }), func(w *world) {
		w.add("a")
		if err := w.feed.Subscribe(w.Context(), "b", "no"); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("Subscribe returned %v", err)
		}
		w.add("c")
		w.server.Say(redistest.Published("app:b", "no") + redistest.Published("app:a", "1") + redistest.Published("app:c", "2"))
		w.hear("a", "1")
		w.hear("c", "2")
		if n := w.dials.Load(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// Of many channels that are restored together, those that are not allowed any more are
// found and end, and the others come back.
func TestRefusedAfterwards(t *testing.T) {
	var forbidden atomic.Bool
	in(t, refusing(func(topic string) bool { return forbidden.Load() && strings.HasPrefix(topic, "app:no") }), func(w *world) {
		w.add("a", "no1", "b", "c", "no2", "d")
		forbidden.Store(true)
		w.server.Cut()
		missing := map[string]broker.GapReason{}
		for len(missing) < 6 {
			_, err := w.feed.Next()
			var gap *broker.GapError
			if !errors.As(err, &gap) {
				t.Fatal(err)
			}
			for _, c := range gap.Channels {
				missing[c] = gap.Reason
			}
		}
		for c, reason := range missing {
			if denied := strings.HasPrefix(c, "no"); denied != (reason == broker.Denied) {
				t.Errorf("a gap %s of %q", reason, c)
			}
		}
		if n := w.dials.Load(); n != 2 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// However many attempts there are, one line says that the link is lost, one that Redis
// refuses the node, and one that it is there again.
func TestLog(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a")
		w.down.Store(true)
		w.server.Cut()
		time.Sleep(10 * time.Second)
		w.server.AnswerPing("-WRONGPASS invalid username-password pair\r\n")
		w.down.Store(false)
		time.Sleep(10 * time.Second)
		w.server.AnswerPing("+PONG\r\n")
		w.hearGap(broker.LinkLost, "a")
		w.feed.Close()
		log := w.log.String()
		for _, line := range []string{"no link", "redis: refused", "link restored"} {
			if n := strings.Count(log, line); n != 1 {
				t.Errorf("%q was logged %d times:\n%s", line, n, log)
			}
		}
	})
}

// Close ends all that wait, is said once to the owner for each call, and can be repeated.
func TestClose(t *testing.T) {
	in(t, func([]string) string { return redistest.Silent }, func(w *world) {
		outcomes := make(chan error, 3)
		go func() { outcomes <- w.feed.Subscribe(w.Context(), "a") }()
		go func() { _, err := w.feed.Next(); outcomes <- err }()
		synctest.Wait()
		w.feed.Close()
		for range 2 {
			if err := <-outcomes; !errors.Is(err, broker.ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		}
		if err := w.feed.Subscribe(w.Context(), "b"); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("Subscribe returned %v", err)
		}
		if err := w.feed.Unsubscribe(w.Context(), "b"); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("Unsubscribe returned %v", err)
		}
		w.feed.Close()
		if w.closed.Load() == 0 {
			t.Error("its owner does not know")
		}
	})
}

// The context of Subscribe ends its wait; the channel is then not added.
func TestAddGivenUp(t *testing.T) {
	var confirm atomic.Bool
	in(t, func(args []string) string {
		if !confirm.Load() {
			return redistest.Silent
		}
		return redistest.Confirm(args)
	}, func(w *world) {
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		if err := w.feed.Subscribe(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Subscribe returned %v", err)
		}
		synctest.Wait()
		if got := w.server.Commands("unsubscribe"); len(got) != 1 {
			t.Errorf("it was not given back: %q", got)
		}
		confirm.Store(true)
		w.server.Say(redistest.Confirm([]string{"subscribe", "app:a"}) + redistest.Confirm([]string{"unsubscribe", "app:a"}))
		w.add("b")
		w.server.Say(redistest.Published("app:a", "no") + redistest.Published("app:b", "1"))
		w.hear("b", "1")
	})
}
