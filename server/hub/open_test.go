package hub_test

import (
	"context"

	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A door is all of a Client that a test of the hub needs.
type door struct {
	transport.Client
	hub    *hub.Hub
	caller hub.Caller // nil for anyone
}

func (d door) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	return d.hub.Join(ctx, s, d.caller)
}

// An answering is an encoding that can tell of a Subscribed.
type answering interface {
	transport.Encoding
	transport.Control
	Subscribed(transport.Subscribed) []byte
}

// open joins and subscribes all of channels, as /ws does: a client that continues is told
// whether that was possible. Without starts all begin live.
func open(ctx context.Context, h *hub.Hub, s *socket.Socket, e answering, channels []string, starts ...transport.Start) (transport.Session, error) {
	return transport.Open(ctx, door{hub: h}, transport.Subscriber{Socket: s, Encoding: e, Control: e}, subscriptions(e, channels, starts...))
}

func subscriptions(e answering, channels []string, starts ...transport.Start) []transport.Subscription {
	all := make([]transport.Subscription, len(channels))
	for i, channel := range channels {
		all[i].Channel = channel
		if starts != nil {
			all[i].Start = starts[i]
		}
		if all[i].Since {
			all[i].Answer = func(s transport.Subscribed) ([]byte, bool) {
				told := e.Subscribed(s)
				return told, len(told) > 0 || s.Recovered
			}
		}
	}
	return all
}
