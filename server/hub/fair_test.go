package hub_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
)

// A gate is a log whose writers wait for a token per line. A worker writes a line
// when it disconnects a client: there the tests hold it.
type gate struct {
	slog.Handler
	tokens chan struct{}
}

func (g gate) Enabled(context.Context, slog.Level) bool { return true }

func (g gate) Handle(context.Context, slog.Record) error {
	<-g.tokens
	return nil
}

// A channel with much to be sent does not hold up what came to another one later.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		g := gate{slog.DiscardHandler, make(chan struct{})}
		o := quiet
		o.Workers, o.Logger = 1, slog.New(g)
		h, err := hub.New(context.Background(), b, o)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		defer close(g.tokens)
		first, slow, other := join(t, h, &lines{}, false, "first"), join(t, h, &lines{}, false, "big"), join(t, h, &lines{}, false, "small")
		defer first.leave()
		defer slow.leave()
		defer other.leave()
		text := strings.Repeat("x", 64<<10)
		for range 32 { // its client never reads, and the worker is held when it sees that
			publish(t, b, "first", text)
		}
		synctest.Wait()
		for range 32 {
			publish(t, b, "big", text)
		}
		publish(t, b, "small", "1")
		synctest.Wait()
		g.tokens <- struct{}{} // on to the client of big, where it is held again
		synctest.Wait()
		_ = other.peer.SetReadDeadline(time.Now().Add(time.Minute)) // the bubble's time: it does not pass while anything runs
		if got := other.read(t, 1); got != "small 1\n" {
			t.Errorf("got %q", got)
		}
	})
}

// While a channel is being sent in rounds, what is published to it keeps its order,
// nothing is lost, and a client that joins hears only what came after it.
func TestRoundsKeepOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New()
		defer b.Close()
		g := gate{slog.DiscardHandler, make(chan struct{})}
		o := quiet
		o.Workers, o.Logger = 1, slog.New(g)
		h, err := hub.New(context.Background(), b, o)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		defer close(g.tokens)
		slow, early := join(t, h, &lines{}, false, "c", "slow"), join(t, h, &lines{}, false, "c")
		defer slow.leave()
		defer early.leave()
		for range 32 {
			publish(t, b, "slow", strings.Repeat("x", 64<<10))
		}
		synctest.Wait()
		filling := strings.Repeat("x", 40<<10) // one per write
		for i := range 10 {
			publish(t, b, "c", string(rune('a'+i))+filling)
		}
		synctest.Wait()
		late := join(t, h, &lines{}, false, "c")
		defer late.leave()
		publish(t, b, "c", "z")
		synctest.Wait()
		g.tokens <- struct{}{}
		for i := range 10 {
			if got, want := early.read(t, 1), "c "+string(rune('a'+i)); !strings.HasPrefix(got, want) {
				t.Fatalf("got %.5q, want %q", got, want)
			}
		}
		for _, c := range []*client{early, late} {
			if got := c.read(t, 1); got != "c z\n" {
				t.Errorf("got %.5q", got)
			}
		}
	})
}
