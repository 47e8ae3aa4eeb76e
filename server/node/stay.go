package node

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// Connections of a credential that has expired are closed somewhat later, as clocks differ
// and answers are on their way, and not all of them at once.
const (
	graceAfterExpiry = 5 * time.Second
	expirySpread     = time.Second // around that
)

// A stay is a Client as the hub knows it: on whose behalf a session is there.
type stay struct{ *Client }

var _ hub.Caller = (*seat)(nil)

// stayOf returns the stay of c. Strangers share one, which costs their sessions nothing.
func (n *Node) stayOf(c *Client) stay {
	if c.caller() == access.Stranger {
		c = n.stranger
	}
	return stay{c}
}

// A seat is the stay of one session, with what there is to tell of it.
type seat struct {
	stay
	from  netip.Addr
	since time.Time
	end   func() // of a session that is counted among the listeners of its network; nil for none
}

// Gone implements hub.Caller.
func (s *seat) Gone() {
	if s.end != nil {
		s.end()
	}
}

// Join implements transport.Client.
func (c *Client) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	s.Transport = c.over
	end, err := c.listen()
	if err != nil {
		return nil, err
	}
	at := &seat{stay: c.node.stayOf(c), from: c.from, since: time.Now(), end: end}
	session, err := c.node.hub.Join(ctx, s, at)
	if err != nil {
		at.Gone()
	}
	return session, err
}

// Enter implements hub.Caller.
func (s stay) Enter(ctx context.Context, sub transport.Subscription) error {
	if err := s.Check(access.Subscribe, sub.Channel); err != nil {
		return err
	}
	if err := s.mayBeSeen(sub); err != nil {
		return err
	}
	return s.ask(ctx, "OnSubscribe", s.node.options.OnSubscribe, sub.Channel)
}

// Left implements hub.Caller.
func (s stay) Left(channel string) { s.leave(channel) }

// Review implements hub.Caller. Hooks are not asked again.
func (s stay) Review(channel string) error {
	if err := s.node.policy.Load().Review(s.caller(), channel).Err(); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// IsKnown implements hub.Caller.
func (s stay) IsKnown() bool {
	_, counts := s.node.policy.Load().Renew(s.caller())
	return counts
}

// Ends implements hub.Caller.
func (s stay) Ends() time.Time {
	expires := s.caller().Identity().Expires
	if expires.IsZero() {
		return expires
	}
	return expires.Add(graceAfterExpiry - expirySpread/2 + rand.N(expirySpread))
}
