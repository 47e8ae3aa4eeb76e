package hub_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// audience joins n clients to a channel.
func audience(b testing.TB, h *hub.Hub, n int) {
	e := &lines{}
	for range n {
		subscribe(b, alone(b, h, e), transport.Subscription{Channel: "c"})
	}
}

// subscribe subscribes channels, none of which may be refused.
func subscribe(b testing.TB, s transport.Session, channels ...transport.Subscription) {
	for _, err := range s.Subscribe(context.Background(), channels...) {
		if err != nil {
			b.Fatal(err)
		}
	}
}

// alone is a session without channels, whose connection somebody reads.
func alone(b testing.TB, h *hub.Hub, e answering) transport.Session {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	ours, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(io.Discard, peer) }()
	s := sockets.New()
	s.Attach(ours)
	session, err := open(context.Background(), h, s, e, nil)
	if err != nil {
		b.Fatal(err)
	}
	s.Uncork()
	b.Cleanup(func() { session.Leave(); _ = s.Close(); <-done; _ = peer.Close() })
	return session
}

// BenchmarkFanOut is the whole path of a message from the broker to the
// connections of its subscribers, which take everything. Allocations are a
// message's, whatever the number of subscribers.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			m := memory.New()
			defer m.Close()
			h, err := hub.New(context.Background(), m, hub.Options{Logger: slog.New(slog.DiscardHandler), Timed: true})
			if err != nil {
				b.Fatal(err)
			}
			audience(b, h, n)
			message := broker.Message{Channel: "c", Data: make([]byte, 128)}
			heard := h.Stats().Heard
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Publish(context.Background(), message); err != nil {
					b.Fatal(err)
				}
				for heard++; h.Stats().Heard < heard; runtime.Gosched() { // the next when this one is on its way
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/delivery")
			b.Cleanup(h.Close)
		})
	}
}
