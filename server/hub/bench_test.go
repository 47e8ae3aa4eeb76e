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
)

// audience joins n clients, whose connections somebody reads.
func audience(b testing.TB, h *hub.Hub, n int) {
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "s"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	e := &lines{}
	for range n {
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
		session, err := open(context.Background(), h, s, e, []string{"c"})
		if err != nil {
			b.Fatal(err)
		}
		s.Open()
		b.Cleanup(func() { session.Leave(); _ = s.Close(); <-done; _ = peer.Close() })
	}
}

// BenchmarkFanOut is the whole path of a message from the broker to the
// connections of its subscribers, which take everything. Allocations are a
// message's, whatever the number of subscribers.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("subscribers=%d", n), func(b *testing.B) {
			m := memory.New()
			defer m.Close()
			h, err := hub.New(context.Background(), m, hub.Options{Logger: slog.New(slog.DiscardHandler)})
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
