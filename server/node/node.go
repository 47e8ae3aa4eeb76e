package node

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
)

// A Node is a broker and the hub on it. All methods may be called concurrently.
type Node struct {
	broker  broker.Broker
	past    broker.Historian // nil where no history is kept
	hub     *hub.Hub
	options Options
	policy  atomic.Pointer[access.Policy] // who may what now
	limiter limiter

	publications publications

	presents presents

	stranger *Client // of all sessions of strangers
	watches  watches
}

// Options are the rules of a Node. Zero values mean that there are none.
type Options struct {
	Logger     *slog.Logger   // where to log; default slog.Default()
	Access     *access.Policy // who may what; nil for everybody everything
	MaxMessage int64          // bytes of a message; a rule may say less for its channels
	Limits     Limits         // until SetLimits
	Hooks

	// Authenticate returns whose credential it is that a client brings while it is connected, as
	// access.Policy.Authenticate does. Nil takes none.
	Authenticate func(ctx context.Context, credential string) (*access.Caller, error)

	// Publishing is told of each publication that is about to be handed to the broker, one message or
	// a batch, and may set Traceparent of the messages, and nothing else. The publication has the context that it
	// returns; the function is called with the results, which it must not keep. Nil costs nothing.
	Publishing func(ctx context.Context, ms []broker.Message) (context.Context, func([]broker.Result))

	// RoundTrip is told how long the broker took for each publication, one message or a batch. It is
	// called concurrently and must not wait. Nil costs nothing.
	RoundTrip func(time.Duration)

	// Identifies says that the program knows who its callers are, without tokens: none may say it
	// of itself.
	Identifies bool
}

// New returns a Node on b and h, which is a hub on b. It uses both for as long as anybody
// uses its Clients, and closes neither. The caller closes it.
func New(b broker.Broker, h *hub.Hub, o Options) *Node {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Access == nil {
		o.Access = access.Open()
	}
	past, _ := broker.HistoryOf(b)
	n := &Node{broker: b, past: past, hub: h, options: o}
	n.policy.Store(o.Access)
	n.SetLimits(o.Limits)
	n.startPresence()
	n.stranger = n.Client(access.Stranger, netip.Addr{})
	return n
}

// SetPolicy has all that follows decided by p. Of the sessions that there are those which may
// still hear all of their channels notice nothing; the others are ended with
// CloseForbidden within a second, which SetPolicy does not wait for, and so are those whose
// credential p does not know. What p says of each is asked without a lock that others
// need.
func (n *Node) SetPolicy(p *access.Policy) {
	n.policy.Store(p)
	n.startPresence()
	n.hub.Review()
	n.watches.review()
	n.reviewPresence()
}

// Client returns what a caller may do who comes from an address, which is zero for those
// within the process. It needs no end.
func (n *Node) Client(caller *access.Caller, from netip.Addr) *Client {
	c := &Client{node: n, from: from}
	c.who.Store(caller)
	if subject := caller.Identity().Subject; subject != "" {
		c.author.Store(&broker.Author{Subject: subject})
	}
	return c
}

// KeepsHistory reports whether there is a history to read.
func (n *Node) KeepsHistory() bool { return n.past != nil }

// Subscribers returns how many of this node's clients listen to a channel, or are about to.
func (n *Node) Subscribers(channel string) int { return n.hub.Subscribers(channel) }

// KeepsHistory reports whether a Node on b keeps a history.
func KeepsHistory(b broker.Broker) bool {
	_, keeps := broker.HistoryOf(b)
	return keeps
}
