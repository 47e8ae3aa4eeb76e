package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// A Client implements transport.Client. It shows nothing of its Node: there is no
// exported field or method that leads to a broker or a hub.
type Client struct {
	node   *Node
	who    atomic.Pointer[access.Caller] // replaced by Renew
	from   netip.Addr
	over   string                        // see Over
	author atomic.Pointer[broker.Author] // of what it publishes; nil where it has neither subject nor session

	presents map[*present]struct{} // its own, guarded as the Node's are; nil for none
}

var _ transport.Client = (*Client)(nil)

// Over says by which transport c comes, and returns c. It is called once, ahead of Join.
func (c *Client) Over(transport string) *Client {
	c.over = transport
	return c
}

// Identity implements transport.Client. It is a copy: what a Transport writes into it nobody else is told.
func (c *Client) Identity() transport.Identity {
	id := c.caller().Identity()
	id.Info, id.Subscribe, id.Publish = slices.Clone(id.Info), slices.Clone(id.Subscribe), slices.Clone(id.Publish)
	return id
}

// caller returns who it is now.
func (c *Client) caller() *access.Caller { return c.who.Load() }

// Session implements transport.Client.
func (c *Client) Session() string {
	for {
		author := c.author.Load()
		if author != nil && author.Session != "" {
			return author.Session
		}
		named := &broker.Author{Subject: c.caller().Identity().Subject, Session: rand.Text()}
		if c.author.CompareAndSwap(author, named) {
			return named.Session
		}
	}
}

// History implements transport.Client.
func (c *Client) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = c.read(ctx, channel, func() error {
		page, err = c.node.past.History(ctx, channel, q)
		return err
	})
	return page, err
}

// Newest implements transport.Client.
func (c *Client) Newest(ctx context.Context, channel string) (newest broker.Position, err error) {
	err = c.read(ctx, channel, func() error {
		if err := c.node.past.Keep(ctx, channel); err != nil {
			return err
		}
		answers, err := c.node.past.Newest(ctx, channel)
		switch {
		case err != nil:
			return err
		case len(answers) != 1:
			return fmt.Errorf("node: the broker has answered with %d positions for one channel", len(answers))
		}
		newest = answers[0]
		return nil
	})
	return newest, err
}

// read calls look if the caller may read the channel's history.
func (c *Client) read(ctx context.Context, channel string, look func() error) error {
	if err := c.Check(access.Subscribe, channel); err != nil {
		return err
	}
	if c.node.past == nil {
		return errNoHistory
	}
	if err := c.ask(ctx, "OnSubscribe", c.node.options.OnSubscribe, channel); err != nil {
		return err
	}
	defer c.leave(channel)
	return look()
}

// Mark implements transport.Client.
func (c *Client) Mark(ctx context.Context, channel string) (broker.Position, error) {
	if err := c.enter(ctx, channel); err != nil {
		return broker.Position{}, err
	}
	defer c.leave(channel)
	return c.node.hub.Mark(ctx, channel)
}

// Clear implements transport.Client.
func (c *Client) Clear(ctx context.Context, channel string) error {
	if err := c.Check(access.Clear, channel); err != nil {
		return err
	}
	if c.node.past == nil {
		return errNoHistory
	}
	clearer, ok := c.node.past.(broker.Clearer)
	if !ok {
		return ErrCannotClear
	}
	if err := c.ask(ctx, "OnClear", c.node.options.OnClear, channel); err != nil {
		return err
	}
	return clearer.Clear(ctx, channel)
}

// ErrCannotClear means that the broker keeps a history which it cannot forget.
var ErrCannotClear = fmt.Errorf("node: the broker cannot clear a history: %w", errors.ErrUnsupported)

// errNoHistory is what there is to say of a past that nobody keeps.
var errNoHistory = fmt.Errorf("node: no history is kept: %w", errors.ErrUnsupported)
