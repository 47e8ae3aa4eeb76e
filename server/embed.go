package server

import (
	"context"
	"net/netip"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/local"
)

// Client returns what a caller of that identity may do, within the program: it needs no HTTP,
// and the same is refused as over HTTP, for the same reasons, and hooks are asked. A zero
// identity is a stranger's; one of Kind Backend without patterns may do everything. What is not
// valid UTF-8 is published as binary, as nobody has said that it is text. It may be used until
// Close.
func (s *Server) Client(identity transport.Identity) transport.Client { return s.clientAs(identity) }

// clientAs returns the Client of a caller within the program.
func (s *Server) clientAs(identity transport.Identity) *node.Client {
	return s.node.Client(access.NewCaller(identity), netip.Addr{}).Over(localName)
}

// localName is the transport of the program itself, in figures.
const localName = "local"

// Hooks are functions of the program that has a say in what callers do.
type Hooks = node.Hooks

// Publish publishes messages in their order and returns one Result for each, as
// [transport.Client].Publish does. It is the program itself that publishes, which may do so in
// all channels.
func (s *Server) Publish(ctx context.Context, messages ...broker.Message) []broker.Result {
	return s.node.Client(access.Program, netip.Addr{}).Publish(ctx, messages...)
}

// Subscribe has the program hear channels as a client of that identity does: it needs the right
// to, hooks are asked, what waits is bounded by QueueBytes, and what becomes of a program that
// reads too slowly is as for others, WriteTimeout included. It returns once the broker has
// confirmed all of the channels. The caller closes the Subscription, which also ends with
// draining, and with the identity or its rights.
func (s *Server) Subscribe(ctx context.Context, by transport.Identity, channels ...transport.Subscription) (*local.Subscription, error) {
	return s.local.Open(ctx, s.clientAs(by), channels...)
}

// Subscribers returns how many clients of this node listen to a channel, or are about to.
func (s *Server) Subscribers(channel string) int { return s.node.Subscribers(channel) }
