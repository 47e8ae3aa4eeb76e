package node

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/presence"
	"github.com/pregon/pregon/transport"
)

// presents are those of a node who are in a channel for others to see, or see others there.
type presents struct {
	engine atomic.Pointer[presence.Engine] // nil where no channel has, or had, presence

	mu     sync.Mutex
	all    map[*present]struct{}
	closed bool
}

// A present is a stay in a channel of somebody with a name, or who asked to be told who is there. It
// counts while the rule of the channel has presence.
type present struct {
	client  *Client
	channel string
	named   *transport.Member // by itself, nil for who has the name of its credential or none
	tell    hub.Tell          // nil where it did not ask

	mu    sync.Mutex
	over  bool
	leave func(lost bool) // nil while it is no member
	stop  func()          // nil while it is told nothing
}

// startPresence begins to know who is where, if some channel has presence and it has not begun.
func (n *Node) startPresence() {
	p := &n.presents
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine.Load() == nil && !p.closed && n.policy.Load().HasPresence() {
		p.engine.Store(presence.New(presence.Options{
			Bus: n.hub.Bus("presence"), Logger: n.options.Logger, Config: func() string { return n.policy.Load().Hash() },
		}))
	}
}

// Close tells other nodes that this one stops, if they know who is here. It is to be called ahead of
// the hub's Close.
func (n *Node) Close() {
	n.presents.mu.Lock()
	defer n.presents.mu.Unlock()
	n.presents.closed = true
	if e := n.presents.engine.Load(); e != nil {
		e.Close()
	}
}

// Present returns the figures of presence, zero where no channel has it.
func (n *Node) Present() presence.Stats {
	if e := n.presents.engine.Load(); e != nil {
		return e.Stats()
	}
	return presence.Stats{}
}

// mayBeSeen returns why a subscription's wishes for presence cannot be had.
func (s stay) mayBeSeen(sub transport.Subscription) error {
	if !sub.Presence && sub.Member == nil {
		return nil
	}
	policy := s.node.policy.Load()
	if sub.Member != nil {
		if policy.TakesTokens() || s.node.options.Identifies {
			return fmt.Errorf("node: %w: the server knows who its clients are, or that they are nobody", transport.ErrMember)
		}
		if err := presence.CheckMember(*sub.Member); err != nil {
			return err
		}
	}
	if !policy.Presence(sub.Channel) {
		return fmt.Errorf("node: %w", transport.ErrNoPresence)
	}
	return nil
}

// Begin implements hub.Caller.
func (s stay) Begin(sub transport.Subscription, tell hub.Tell) func(hub.Ending) {
	n := s.node
	if n.presents.engine.Load() == nil || !sub.Presence && sub.Member == nil && s.caller().Identity().Subject == "" {
		return nil
	}
	p := &present{client: s.Client, channel: sub.Channel}
	if sub.Presence {
		p.tell = tell
	}
	if sub.Member != nil {
		named := *sub.Member
		p.named = &named
	}
	n.presents.mu.Lock()
	if n.presents.all == nil {
		n.presents.all = map[*present]struct{}{}
	}
	n.presents.all[p] = struct{}{}
	if s.Client != n.stranger { // which nobody renews
		if s.presents == nil {
			s.presents = map[*present]struct{}{}
		}
		s.presents[p] = struct{}{}
	}
	n.presents.mu.Unlock()
	p.review() // a policy that came meanwhile reviews all that it finds
	return p.end
}

// end is called when the stay is over.
func (p *present) end(how hub.Ending) {
	n := p.client.node
	n.presents.mu.Lock()
	delete(n.presents.all, p)
	delete(p.client.presents, p)
	n.presents.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.part(how == hub.Lost)
}

// review makes p a member and an observer where the rule of its channel has presence now, and neither
// where it has not.
func (p *present) review() {
	n := p.client.node
	p.mu.Lock()
	defer p.mu.Unlock()
	switch has := n.policy.Load().Presence(p.channel); {
	case p.over:
	case !has:
		p.part(false)
	default:
		p.join()
	}
}

// join makes p what it is not yet of a member and an observer.
func (p *present) join() {
	engine := p.client.node.presents.engine.Load()
	if m := p.member(); m.Subject != "" && p.leave == nil {
		leave, err := engine.Join(p.channel, m)
		if err != nil { // the program has named it so
			p.client.node.options.Logger.Debug("node: a caller cannot be a member of its channel", "error", err)
		}
		p.leave = leave
	}
	if p.tell != nil && p.stop == nil {
		p.stop = engine.Observe(p.channel, func(e *presence.Event) { p.tell(e.Encode) })
	}
}

// part makes p neither a member nor an observer. One that hears on is told that it does not know any
// more who is there.
func (p *present) part(lost bool) {
	if p.leave != nil {
		p.leave(lost)
		p.leave = nil
	}
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	if !p.over {
		unknown := &presence.Event{Members: &transport.Members{Channel: p.channel, Incomplete: true}}
		p.tell(unknown.Encode)
	}
}

// member returns who p is, for others to see.
func (p *present) member() transport.Member {
	if p.named != nil {
		return *p.named
	}
	identity := p.client.caller().Identity()
	return transport.Member{Subject: identity.Subject, Info: identity.Info}
}

// renew has others see what is new of p's info.
func (p *present) renew() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before := p.leave; before != nil {
		p.leave = nil
		p.join()
		before(false)
	}
}

// reviewPresence has the policy there is now decide who is to be seen, and told.
func (n *Node) reviewPresence() {
	for _, p := range n.presents.snapshot() {
		p.review()
	}
}

// renewPresence has others see what is new of a caller.
func (c *Client) renewPresence(was, is transport.Identity) {
	if bytes.Equal(was.Info, is.Info) {
		return
	}
	c.node.presents.mu.Lock()
	mine := slices.Collect(maps.Keys(c.presents))
	c.node.presents.mu.Unlock()
	for _, p := range mine {
		p.renew()
	}
}

func (p *presents) snapshot() []*present {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.all))
}

// Members implements transport.Client.
func (c *Client) Members(ctx context.Context, channel string, q transport.MembersQuery) (page transport.Members, err error) {
	if err := c.Check(access.Subscribe, channel); err != nil {
		return page, err
	}
	engine := c.node.presents.engine.Load()
	if engine == nil || !c.node.policy.Load().Presence(channel) {
		return page, fmt.Errorf("node: %w", transport.ErrNoPresence)
	}
	if err := c.ask(ctx, "OnSubscribe", c.node.options.OnSubscribe, channel); err != nil {
		return page, err
	}
	defer c.leave(channel)
	return engine.Members(channel, q), nil
}
