package node

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// A Channel is a channel of this node's clients, as it is shown to an operator.
type Channel struct {
	hub.ChannelInfo
	Members int // on all nodes together; -1 where its rule has no presence
}

// An Order is one of channels.
type Order int

// Orders of channels. Those of one number are ordered by name.
const (
	ByName Order = iota
	BySubscribers
	ByRate
)

// Channels returns the first channels in an order, and whether there are more: those whose names are greater than after, which is
// empty but ByName.
func (n *Node) Channels(order Order, after string, limit int) (page []Channel, more bool) {
	all := slices.DeleteFunc(n.hub.ListChannels(), func(c hub.ChannelInfo) bool { return c.Name <= after })
	slices.SortFunc(all, func(a, b hub.ChannelInfo) int {
		switch order {
		case BySubscribers:
			return cmp.Or(cmp.Compare(b.Subscribers, a.Subscribers), cmp.Compare(a.Name, b.Name))
		case ByRate:
			return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Name, b.Name))
		}
		return cmp.Compare(a.Name, b.Name)
	})
	if more = len(all) > limit; more {
		all = all[:limit]
	}
	for _, c := range all {
		page = append(page, Channel{c, n.count(c.Name)})
	}
	return page, more
}

// count returns how many members a channel has, -1 where that is not known.
func (n *Node) count(channel string) int {
	engine := n.presents.engine.Load()
	if engine == nil || !n.policy.Load().Presence(channel) {
		return -1
	}
	return engine.Count(channel)
}

// A Listener is a session, as it is shown to an operator.
type Listener struct {
	ID        uint64
	Transport string
	Address   netip.Addr // zero within the process
	Since     time.Time
	Queued    int // bytes that wait for the client
	Channels  int
	Identity  transport.Identity
	Channel   string // that was asked for, or the only one; empty for none
	Why       string // the client may hear that channel, in words
}

// Sessions returns the first sessions of a channel, or of all for none, as [hub.Hub.Listeners] does.
func (n *Node) Sessions(ctx context.Context, channel string, after uint64, limit int) (page []Listener, more bool, err error) {
	found, more, err := n.hub.Listeners(ctx, channel, after, limit)
	for _, l := range found {
		if at, ours := l.Caller.(*seat); ours { // as all are
			l.Channel = cmp.Or(channel, l.Channel)
			page = append(page, at.show(l))
		}
	}
	return page, more, err
}

func (s *seat) show(l hub.Listener) Listener {
	caller := s.caller()
	shown := Listener{
		ID: l.ID, Transport: l.Transport, Address: s.from, Since: s.since, Queued: l.Queued, Channels: l.Channels,
		Identity: caller.Identity(), Channel: l.Channel,
	}
	if l.Channel != "" {
		shown.Why = s.node.policy.Load().Decide(caller, access.Subscribe, l.Channel).Why()
	}
	return shown
}

// EndSession ends a session as [hub.Hub.EndSession] does, with CloseLimit.
func (n *Node) EndSession(ctx context.Context, id uint64) (found bool, err error) {
	return n.hub.EndSession(ctx, id, transport.CloseLimit)
}
