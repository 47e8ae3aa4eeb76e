package live_test

import (
	"context"
	"strings"
	"sync"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// A gated broker keeps a history, and holds up what is published and what is read from the history of
// channels while they are shut.
type gated struct {
	broker.Broker
	broker.Historian

	mu      sync.Mutex
	gates   map[string]chan struct{} // by channel
	batches [][]string               // the messages that were published together, in their order
	begun   chan int                 // gets the size of each batch when it begins, if there is room
}

func newGated() *gated {
	b := memory.NewBusWithHistory(history).Broker()
	return &gated{Broker: b, Historian: b.(broker.Historian), gates: map[string]chan struct{}{}, begun: make(chan int, 1000)}
}

// shut holds up a channel until open is called.
func (g *gated) shut(channel string) (open func()) {
	gate := make(chan struct{})
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gates[channel] = gate
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		delete(g.gates, channel)
		close(gate)
	})
}

func (g *gated) await(ctx context.Context, channel string) error {
	g.mu.Lock()
	gate := g.gates[channel]
	g.mu.Unlock()
	if gate == nil {
		return nil
	}
	select {
	case <-gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Publish implements broker.Broker.
func (g *gated) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	result := g.PublishBatch(ctx, []broker.Message{m})[0]
	return result.Receipt, result.Err
}

// PublishBatch implements broker.BatchPublisher.
func (g *gated) PublishBatch(ctx context.Context, ms []broker.Message) []broker.Result {
	if !strings.HasPrefix(ms[0].Channel, "__") { // as beats have it
		var texts []string
		for _, m := range ms {
			texts = append(texts, string(m.Data))
		}
		g.mu.Lock()
		g.batches = append(g.batches, texts)
		g.mu.Unlock()
		select {
		case g.begun <- len(ms):
		default:
		}
	}
	for _, m := range ms {
		if err := g.await(ctx, m.Channel); err != nil {
			return make([]broker.Result, len(ms))
		}
	}
	return broker.PublishAll(ctx, g.Broker, ms)
}

// History implements broker.Historian.
func (g *gated) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if err := g.await(ctx, channel); err != nil {
		return broker.Page{}, err
	}
	return g.Historian.History(ctx, channel, q)
}
