package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Hooks are functions of the program that has a say in what callers do. They may be called
// concurrently, and whoever they are asked for waits: they are to be quick. Nil ones are not
// called.
type Hooks struct {
	// OnPublish is asked for each message that somebody wants to publish, whatever way
	// it comes by, and returns what to publish instead, or an error to refuse it: then
	// the publisher's error matches ErrRefused and that error. It may change Data (not
	// the bytes themselves, which others share), Binary and Key; what it returns is
	// checked as what comes from outside. Of several messages that are published together
	// each is asked for before the first is published.
	OnPublish func(ctx context.Context, by transport.Identity, m broker.Message) (broker.Message, error)

	// OnSubscribe is asked before a caller hears a channel or reads its past: for each
	// subscription, and for each call that reads a history or waits for news. An error
	// refuses it, as with OnPublish. It should answer alike for as long as a caller reads.
	OnSubscribe func(ctx context.Context, by transport.Identity, channel string) error

	// OnLeave is told once for each time that OnSubscribe returned nil, when that is
	// over: when the client unsubscribes or has gone, when a call that reads returns,
	// and where the broker has not confirmed the subscription.
	OnLeave func(by transport.Identity, channel string)

	// OnClear is asked before a caller clears the history of a channel. An error refuses
	// it, as with OnPublish.
	OnClear func(ctx context.Context, by transport.Identity, channel string) error
}

// ErrRefused means that a hook has refused what a caller wanted. Errors that match it
// match broker.ErrDenied, too: nothing was done.
var ErrRefused = fmt.Errorf("%w: refused by a hook", broker.ErrDenied)

// refusedBy wraps a hook's error. What it says of an outcome is of something else.
func refusedBy(hook string, err error) error {
	if errors.Is(err, broker.ErrUncertain) {
		return fmt.Errorf("node: %s: %w: %v", hook, ErrRefused, err)
	}
	return fmt.Errorf("node: %s: %w: %w", hook, ErrRefused, err)
}

// onPublish returns what is to be published for m.
func (n *Node) onPublish(ctx context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
	if n.options.OnPublish == nil {
		return m, nil
	}
	changed, err := n.options.OnPublish(ctx, by, m)
	if err != nil {
		return m, refusedBy("OnPublish", err)
	}
	changed.Channel = m.Channel // what the publisher is told, and asked for, is about that
	return changed, n.refusal(changed)
}

// listens reports whether hooks are to be asked or told of those who listen.
func (h Hooks) listens() bool { return h.OnSubscribe != nil || h.OnLeave != nil }

// enter returns why the caller may not hear or read a channel. Where it returns nil, leave
// is to be called.
func (c *Client) enter(ctx context.Context, channel string) error {
	if err := allowed(channel); err != nil {
		return err
	}
	return c.ask(ctx, "OnSubscribe", c.node.options.OnSubscribe, channel)
}

// ask returns why a hook, which may be nil, refuses the caller a channel.
func (c *Client) ask(ctx context.Context, name string, hook func(context.Context, transport.Identity, string) error, channel string) error {
	if hook == nil {
		return nil
	}
	if err := hook(ctx, c.identity, channel); err != nil {
		return refusedBy(name, err)
	}
	return nil
}

// leave says that the caller does not hear a channel any more.
func (c *Client) leave(channel string) {
	if tell := c.node.options.OnLeave; tell != nil {
		tell(c.identity, channel)
	}
}
