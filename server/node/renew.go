package node

import (
	"context"
	"fmt"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// Renew implements transport.Client. Where everything is open any credential does: it is not looked at,
// as a client that brings one need not know how the server is set up, and nothing changes.
func (c *Client) Renew(ctx context.Context, credential string) (transport.Identity, error) {
	if c.node.policy.Load().IsOpen() && c.caller() == access.Stranger {
		return c.Identity(), nil
	}
	if c.node.options.Authenticate == nil {
		return transport.Identity{}, fmt.Errorf("node: renew: %w", access.ErrUnauthorized)
	}
	next, err := c.node.options.Authenticate(ctx, credential)
	if err != nil {
		return transport.Identity{}, fmt.Errorf("node: renew: %w", err)
	}
	was, is := c.caller().Identity(), next.Identity()
	if is.Kind != transport.User || was.Kind != transport.User || is.Subject != was.Subject {
		return transport.Identity{}, fmt.Errorf("node: renew: %w", transport.ErrOtherSubject)
	}
	c.who.Store(next)
	c.renewPresence(was, is)
	return c.Identity(), nil
}
