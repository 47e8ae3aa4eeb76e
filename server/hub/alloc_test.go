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
	if n := allocations(t, hub.Options{}, 200, "") - allocations(t, hub.Options{}, 1, ""); n > 20 {
		t.Errorf("199 subscribers more cost %v allocations a message", n)
	}
}

// Where nobody is told of deliveries a message with a trace costs no allocation more than any other, and where
// somebody is, one without a trace does not.
func TestWhatIsNotTracedDoesNotAllocate(t *testing.T) {
	told := hub.Options{Delivered: func(hub.Delivery) {}}
	plain := allocations(t, hub.Options{}, 10, "")
	for name, n := range map[string]float64{"off": allocations(t, hub.Options{}, 10, traceparent), "without a trace": allocations(t, told, 10, "")} {
		if n-plain >= 1 {
			t.Errorf("%s: %v allocations a message, not %v", name, n, plain)
		}
	}
	if n := allocations(t, told, 10, traceparent); n-plain < 1 {
		t.Errorf("a message that is traced costs %v allocations, one that is not %v: the test sees nothing", n, plain)
	}
}

// allocations returns how many allocations a message costs, on all goroutines, in the quietest of three rounds.
func allocations(t *testing.T, o hub.Options, subscribers int, trace string) float64 {
	m := memory.New()
	defer m.Close()
	o.Logger = slog.New(slog.DiscardHandler)
	h, err := hub.New(context.Background(), m, o)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	audience(t, h, subscribers)
	message := broker.Message{Channel: "c", Data: make([]byte, 128), Traceparent: trace}
	heard := h.Stats().Heard
	publish := func() {
		if _, err := m.Publish(context.Background(), message); err != nil {
			t.Fatal(err)
		}
		for heard++; h.Stats().Heard < heard; runtime.Gosched() {
		}
	}
	return min(testing.AllocsPerRun(500, publish), testing.AllocsPerRun(500, publish), testing.AllocsPerRun(500, publish))
}
