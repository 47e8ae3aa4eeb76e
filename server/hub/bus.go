package hub

import (
	"context"

	"github.com/pregon/pregon/broker"
)

// busPrefix begins the names of the channels on which nodes talk to each other.
const busPrefix = "__pregon."

// A Bus is a channel of the program's own, on which its nodes talk to each other. It goes the way
// of all messages, and no client can reach it.
type Bus struct {
	hub  *Hub
	name string
}

// Bus returns the one of that name, which is the same on all nodes. There is to be one for each
// name, and it is not among the channels that Stats count.
func (h *Hub) Bus(name string) *Bus { return &Bus{h, busPrefix + name} }

// Publish publishes data to all nodes of the bus, this one included. Nothing of it is kept where the
// broker can do without.
func (b *Bus) Publish(ctx context.Context, data []byte) error {
	return b.hub.say(ctx, b.name, data)
}

// Listen has hear called with what nodes publish on the bus, and lost where some may be missing, in
// their places, until stop is called: once, and what is under way then may still come. They are
// called by the goroutine that all messages come by, and must not wait.
//
// Where the broker can prove that a message came from a node, only those are heard. Otherwise
// whoever can publish to the broker is heard.
func (b *Bus) Listen(hear func(data []byte), lost func()) (stop func()) {
	proven := b.hub.prober() != nil
	t := b.hub.topics.tap(b.name, func(m broker.Message) {
		if !proven || !m.Position.IsZero() {
			hear(m.Data)
		}
	}, lost)
	return func() { b.hub.topics.unwant(t) }
}

// prober returns what can try out whether a message would be kept, nil where nothing is.
func (h *Hub) prober() broker.Prober {
	if h.filler == nil {
		return nil
	}
	p, _ := h.broker.(broker.Prober)
	return p
}

// say publishes what is one node's word to others, or to itself. Where there is a history, what it
// takes to keep a message is tried, too, if the broker can do so without keeping it.
func (h *Hub) say(ctx context.Context, channel string, data []byte) error {
	publish := h.broker.Publish
	if p := h.prober(); p != nil {
		publish = p.Probe
	}
	_, err := publish(ctx, broker.Message{Channel: channel, Data: data})
	return err
}
