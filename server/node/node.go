package node

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A Node is a broker and the hub on it. All methods may be called concurrently.
type Node struct {
	broker  broker.Broker
	past    broker.Historian // nil where no history is kept
	hub     *hub.Hub
	options Options
}

// Options are the rules of a Node. Zero values mean that there are none.
type Options struct {
	MaxMessage int64 // bytes of a message
	Hooks
}

// New returns a Node on b and h, which is a hub on b. It uses both for as long as anybody
// uses its Clients, and closes neither.
func New(b broker.Broker, h *hub.Hub, o Options) *Node {
	past, _ := broker.HistoryOf(b)
	return &Node{broker: b, past: past, hub: h, options: o}
}

// Client returns what a caller of that identity may do: everything with every channel that
// is not reserved, for any identity. It costs nothing and needs no end.
func (n *Node) Client(identity transport.Identity) *Client { return &Client{n, identity} }

// KeepsHistory reports whether there is a history to read.
func (n *Node) KeepsHistory() bool { return n.past != nil }

// Subscribers returns how many of this node's clients listen to a channel, or are about to.
func (n *Node) Subscribers(channel string) int { return n.hub.Subscribers(channel) }

// KeepsHistory reports whether a Node on b keeps a history.
func KeepsHistory(b broker.Broker) bool {
	_, keeps := broker.HistoryOf(b)
	return keeps
}
