package hub_test

import (
	"context"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
)

const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Of a message with a trace each worker tells once, when all groups of it were handed it, and of others none does.
func TestDeliveriesAreTold(t *testing.T) {
	const subscribers, workers = 1200, 4
	b := memory.New()
	defer b.Close()
	told := make(chan hub.Delivery, 100)
	h := newHub(t, b, hub.Options{Workers: workers, Delivered: func(d hub.Delivery) { told <- d }})
	defer h.Close()
	one, other := &lines{}, &lines{}
	var clients []*client
	for i := range subscribers {
		clients = append(clients, join(t, h, map[bool]*lines{true: one, false: other}[i%2 == 0], false, "c"))
	}
	publish(t, b, "c", "before")
	if _, err := b.Publish(context.Background(), broker.Message{Channel: "c", Data: []byte("traced"), Traceparent: traceparent}); err != nil {
		t.Fatal(err)
	}
	publish(t, b, "c", "behind")
	for _, c := range clients {
		if got := c.read(t, 3); got != "c before\nc traced\nc behind\n" {
			t.Error(got)
		}
		c.leave()
	}
	heard := 0
	for range workers {
		d := <-told
		heard += d.Subscribers
		if d.Channel != "c" || d.Traceparent != traceparent {
			t.Errorf("told of %+v", d)
		}
		if d.Received.IsZero() || d.First.Before(d.Received) || d.Last.Before(d.First) {
			t.Errorf("the times run backwards: %+v", d)
		}
	}
	if heard != subscribers || len(told) > 0 {
		t.Errorf("told of %d deliveries, and %d times more", heard, len(told))
	}
	sockets.Wait()
}
