package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A Client implements transport.Client. It shows nothing of its Node: there is no
// exported field or method that leads to a broker or a hub.
type Client struct {
	node     *Node
	identity transport.Identity
}

var _ transport.Client = (*Client)(nil)

// Identity implements transport.Client.
func (c *Client) Identity() transport.Identity { return c.identity }

// Join implements transport.Client. The hub checks the names.
func (c *Client) Join(ctx context.Context, s transport.Subscriber) (transport.Session, error) {
	return c.node.hub.Join(ctx, s)
}

// Publish implements transport.Client. It keeps ms from the heap where the caller has
// one message: that is the common case, and the fast one.
func (c *Client) Publish(ctx context.Context, ms ...broker.Message) []broker.Result {
	results := make([]broker.Result, len(ms))
	if len(ms) == 1 {
		if results[0].Err = c.node.refusal(ms[0]); results[0].Err == nil {
			results[0].Receipt, results[0].Err = c.node.broker.Publish(ctx, ms[0])
		}
		return results
	}
	taken, from := make([]broker.Message, 0, len(ms)), make([]int, 0, len(ms))
	for i, m := range ms {
		if results[i].Err = c.node.refusal(m); results[i].Err == nil {
			taken, from = append(taken, m), append(from, i)
		}
	}
	for i, result := range broker.PublishAll(ctx, c.node.broker, taken) {
		results[from[i]] = result
	}
	return results
}

// History implements transport.Client.
func (c *Client) History(ctx context.Context, channel string, q broker.Query) (broker.Page, error) {
	if err := c.readable(channel); err != nil {
		return broker.Page{}, err
	}
	return c.node.past.History(ctx, channel, q)
}

// Newest implements transport.Client.
func (c *Client) Newest(ctx context.Context, channel string) (broker.Position, error) {
	if err := c.readable(channel); err != nil {
		return broker.Position{}, err
	}
	newest, err := c.node.past.Newest(ctx, channel)
	if err != nil || len(newest) != 1 {
		return broker.Position{}, err
	}
	return newest[0], nil
}

// Mark implements transport.Client.
func (c *Client) Mark(ctx context.Context, channel string) (broker.Position, error) {
	if err := allowed(channel); err != nil {
		return broker.Position{}, err
	}
	return c.node.hub.Mark(ctx, channel)
}

// Watch implements transport.Client.
func (c *Client) Watch(ctx context.Context, channel string) (news <-chan struct{}, stop func(), err error) {
	if err := allowed(channel); err != nil {
		return nil, nil, err
	}
	return c.node.hub.Watch(ctx, channel)
}

// errNoHistory is what there is to say of a past that nobody keeps.
var errNoHistory = fmt.Errorf("node: no history is kept: %w", errors.ErrUnsupported)

// readable returns why a channel's history cannot be read.
func (c *Client) readable(channel string) error {
	if err := allowed(channel); err != nil {
		return err
	}
	if c.node.past == nil {
		return errNoHistory
	}
	return nil
}

// allowed returns why a channel of that name may not be used, without the name.
func allowed(channel string) error {
	if err := broker.CheckChannel(channel); err != nil {
		return fmt.Errorf("node: %w: %w", broker.ErrDenied, err)
	}
	return nil
}

// refusal returns why a message may not be published.
func (n *Node) refusal(m broker.Message) error {
	if n.most > 0 && int64(len(m.Data)) > n.most {
		return fmt.Errorf("node: the message has more than %d bytes: %w", n.most, broker.ErrTooLarge)
	}
	return allowed(m.Channel)
}
