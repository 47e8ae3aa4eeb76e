package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// among is a session of a hub that has n channels, all of which another one has, too: so
// the broker carries them whatever the session does.
func among(b testing.TB, n int) (session transport.Session, channels []transport.Subscription) {
	m := memory.New()
	h, err := hub.New(context.Background(), m, hub.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close(); _ = m.Close() })
	for i := range n {
		channels = append(channels, transport.Subscription{Channel: fmt.Sprint("c", i)})
	}
	for range 2 {
		session = alone(b, h, &lines{})
		subscribe(b, session, channels...)
	}
	return session, channels
}

// leaveAndJoin leaves a channel of a session and joins it again.
func leaveAndJoin(b testing.TB, s transport.Session, channel transport.Subscription) {
	s.Unsubscribe(channel.Channel, nil)
	subscribe(b, s, channel)
}

// BenchmarkSubscribeAmong leaves and joins the channels of a session in turn: that costs the
// same, however many it has.
func BenchmarkSubscribeAmong(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000, 10_000} {
		b.Run(fmt.Sprintf("channels=%d", n), func(b *testing.B) {
			session, channels := among(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				leaveAndJoin(b, session, channels[i%n])
				i++
			}
		})
	}
}

// Leaving and joining a channel takes as many allocations among 1,000 as among two.
func TestSubscribeAmongAllocates(t *testing.T) {
	allocations := func(n int) float64 {
		session, channels := among(t, n)
		i := 0
		return testing.AllocsPerRun(1000, func() {
			leaveAndJoin(t, session, channels[i%n])
			i++
		})
	}
	few, many := allocations(2), allocations(1000)
	t.Logf("among 2: %v, among 1,000: %v", few, many)
	if many > few+1 {
		t.Errorf("%v allocations among 2 channels, %v among 1,000", few, many)
	}
}
