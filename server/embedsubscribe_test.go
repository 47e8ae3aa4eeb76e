package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/local"
)

func on(channel string) transport.Subscription { return transport.Subscription{Channel: channel} }

func behind(channel string, p broker.Position) transport.Subscription {
	return transport.Subscription{Channel: channel, Start: transport.Start{Since: true, After: p}}
}

// next returns what comes next in a word.
func next(t testing.TB, s *local.Subscription) (string, local.Event) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	e, err := s.Next(ctx)
	switch {
	case err != nil:
		t.Fatal(err)
	case e.Message != nil:
		return e.Message.Channel + " " + string(e.Message.Data), e
	case e.Gap != nil:
		return e.Gap.Channel + " gap", e
	}
	return fmt.Sprintf("%s recovered %v", e.Subscribed.Channel, e.Subscribed.Recovered), e
}

func hears(t testing.TB, s *local.Subscription, want ...string) (last local.Event) {
	t.Helper()
	for _, w := range want {
		got, e := next(t, s)
		if got != w {
			t.Errorf("heard %q, want %q", got, w)
		}
		last = e
	}
	return last
}

// A program in the process hears what clients hear: messages as they were, in order, gaps in
// their place, and where it comes back with a position exactly the rest.
func TestEmbedSubscribe(t *testing.T) {
	n := start(t, keeping())
	ctx := t.Context()
	s, err := n.server.Subscribe(ctx, transport.Identity{}, on("a"), on("b"))
	if err != nil {
		t.Fatal(err)
	}
	n.publish("a", "1")
	n.publish("b", "2")
	big := strings.Repeat("x", 300<<10) // more than one write
	n.server.Publish(ctx, broker.Message{Channel: "a", Data: []byte(big)}, broker.Message{Channel: "a", Data: []byte{0xff, 0}})
	hears(t, s, "a 1", "b 2", "a "+big)
	heard := hears(t, s, "a \xff\x00").Message
	if !heard.Binary || heard.Position.IsZero() {
		t.Error(heard.Binary, heard.Position)
	}
	if err := s.Subscribe(ctx, on("c"))[0]; err != nil {
		t.Error(err)
	}
	s.Unsubscribe("b")
	n.publish("b", "not heard")
	n.publish("c", "3")
	hears(t, s, "c 3")
	s.Close()
	s.Close()
	if _, err := s.Next(ctx); !errors.Is(err, local.ErrClosed) {
		t.Error(err)
	}
	n.publish("a", "missed")
	if s, err = n.server.Subscribe(ctx, transport.Identity{}, behind("a", heard.Position), transport.Subscription{Channel: "b", Start: transport.Start{Last: 1}}); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for got := map[string]bool{}; len(got) < 4; {
		word, _ := next(t, s)
		if got[word] = true; word == "a missed" && !got["a recovered true"] || word == "b not heard" && !got["b recovered false"] {
			t.Error(got)
		}
	}
	n.delete("/history/a")
	n.publish("a", "4")
	hears(t, s, "a gap", "a 4")
	late, err := n.server.Subscribe(ctx, transport.Identity{}, behind("a", heard.Position))
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	hears(t, late, "a recovered false")
}

// Next waits until its context ends, and nothing is lost by that.
func TestEmbedNextWaits(t *testing.T) {
	n := start(t, server.Options{})
	s, err := n.server.Subscribe(t.Context(), transport.Identity{}, on("a"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		if _, err := s.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
	}
	n.publish("a", "1")
	hears(t, s, "a 1")
}

// What a client may not hear the program is refused, too, and then hears nothing of it.
func TestEmbedSubscribeIsRefused(t *testing.T) {
	n := start(t, server.Options{Hooks: server.Hooks{OnSubscribe: func(_ context.Context, by transport.Identity, channel string) error {
		if channel == "closed" && by.Subject != "boss" {
			return errors.New("no")
		}
		return nil
	}}})
	for _, channel := range []string{"closed", "__a", ""} {
		if _, err := n.server.Subscribe(t.Context(), transport.Identity{}, on("a"), on(channel)); !errors.Is(err, broker.ErrDenied) && !strings.Contains(err.Error(), "channel") {
			t.Errorf("%q: %v", channel, err)
		}
	}
	if got := n.server.Subscribers("a"); got != 0 {
		t.Error(got, "subscribers are left")
	}
	s, err := n.server.Subscribe(t.Context(), transport.Identity{Subject: "boss"}, on("closed"))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// A program that does not read is told so and holds nobody up: neither other clients nor the
// server that stops.
func TestEmbedSlowSubscriber(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*server.Options)
		ends   bool
	}{
		"disconnect": {func(*server.Options) {}, true},
		"drop":       {func(o *server.Options) { o.DropOldest = true }, false},
		"catch up":   {func(o *server.Options) { o.CatchUp = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := server.Options{QueueBytes: 4 << 10, Broker: memory.NewBusWithHistory(broker.Retention{MaxMessages: 2000, MaxAge: time.Minute}).Broker()}
			c.change(&o)
			n := start(t, o)
			slow, err := n.server.Subscribe(t.Context(), transport.Identity{}, on("a"))
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Close()
			fast := n.ws("/ws/a?format=raw")
			for i := range 1000 {
				n.server.Publish(t.Context(), broker.Message{Channel: "a", Data: fmt.Appendf(make([]byte, 1000), "%d", i)})
				read(t, fast)
			}
			messages, gaps := 0, 0
			for {
				e, err := slow.Next(t.Context())
				if err != nil {
					var ended *local.EndedError
					if !errors.As(err, &ended) || ended.Reason != transport.CloseSlow {
						t.Error(err)
					}
					break
				}
				if e.Gap != nil {
					gaps++
				} else if messages++; strings.HasSuffix(string(e.Message.Data), "\x00999") {
					break
				}
			}
			_, err = slow.Next(canceled())
			if ended := !errors.Is(err, context.Canceled); ended != c.ends {
				t.Error(err)
			}
			if (gaps > 0) != (name == "drop") || (messages == 1000) != (name == "catch up") {
				t.Errorf("%d messages and %d gaps", messages, gaps)
			}
		})
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// Draining ends a subscription, whether the program reads or not; one that nobody reads or
// closes does not keep the Server from closing.
func TestEmbedSubscriptionsAreDrained(t *testing.T) {
	b := memory.New()
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Logger: slog.New(slog.DiscardHandler), DrainTime: time.Millisecond, WriteTimeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	reads, err := s.Subscribe(t.Context(), transport.Identity{}, on("a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Subscribe(t.Context(), transport.Identity{}, on("a")); err != nil {
		t.Fatal(err)
	}
	s.Publish(t.Context(), broker.Message{Channel: "a", Data: []byte("1")})
	go s.Drain(t.Context())
	hears(t, reads, "a 1")
	var ended *local.EndedError
	if _, err := reads.Next(t.Context()); !errors.As(err, &ended) || ended.Reason != transport.CloseShutdown {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if s.Subscribers("a") != 0 {
		t.Error("subscribers are left")
	}
}
