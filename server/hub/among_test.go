package hub_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"runtime"
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

// Leaving and joining a channel takes as much memory among 1,000 as among two. A copy of
// the list of a session's channels would be 8 KB; the hub's own maps, and the pools that the
// race detector empties at random, are some hundred bytes more or less.
func TestSubscribeAmongAllocates(t *testing.T) {
	const noise = 2 << 10
	few, many := bytesAmong(t, 2), bytesAmong(t, 1000)
	t.Logf("among 2: %d bytes, among 1,000: %d", few, many)
	if many > few+noise {
		t.Errorf("%d bytes among 2 channels, %d among 1,000", few, many)
	}
}

// bytesAmong returns how many bytes it takes to leave and join one of n channels, on average
// of the quietest of several runs.
func bytesAmong(t *testing.T, n int) uint64 {
	session, channels := among(t, n)
	const rounds = 1000
	least := uint64(math.MaxUint64)
	for range 5 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for i := range rounds {
			leaveAndJoin(t, session, channels[i%n])
		}
		runtime.ReadMemStats(&after)
		least = min(least, (after.TotalAlloc-before.TotalAlloc)/rounds)
	}
	return least
}
