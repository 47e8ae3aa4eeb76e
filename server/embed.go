package server

import (
	"context"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Client returns what a caller within the program may do: it needs no HTTP, and refuses
// the same channels and messages. But for one: a Key where there is no history is refused
// over HTTP only; here it has no effect, as with a broker. It may be used until Close.
func (s *Server) Client(identity transport.Identity) transport.Client { return s.node.Client(identity) }

// Publish publishes messages in their order and returns one Result for each, as
// [transport.Client].Publish does for a stranger.
func (s *Server) Publish(ctx context.Context, messages ...broker.Message) []broker.Result {
	return s.node.Client(transport.Identity{}).Publish(ctx, messages...)
}
