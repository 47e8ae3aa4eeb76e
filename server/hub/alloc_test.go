package hub_test

import (
	"context"
	"log/slog"
	"runtime"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
)

// A delivery costs no allocation: what a message costs does not grow with its
// subscribers.
func TestDeliveryDoesNotAllocate(t *testing.T) {
	if n := allocations(t, 200) - allocations(t, 1); n > 20 {
		t.Errorf("199 subscribers more cost %v allocations a message", n)
	}
}

// allocations returns how many allocations a message costs, on all goroutines.
func allocations(t *testing.T, subscribers int) float64 {
	m := memory.New()
	defer m.Close()
	h, err := hub.New(context.Background(), m, hub.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	audience(t, h, subscribers)
	message := broker.Message{Channel: "c", Data: make([]byte, 128)}
	heard := h.Stats().Heard
	return testing.AllocsPerRun(500, func() {
		if _, err := m.Publish(context.Background(), message); err != nil {
			t.Fatal(err)
		}
		for heard++; h.Stats().Heard < heard; runtime.Gosched() {
		}
	})
}
