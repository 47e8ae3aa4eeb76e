package node

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

// Hooks are functions of the program that has a say in what callers do. They may be called
// concurrently, and whoever they are asked for waits: they are to be quick. Nil ones are not
// called. They are asked for what the policy allows, and one that panics refuses.
type Hooks struct {
	// OnPublish is asked for each message that somebody wants to publish, whatever way
	// it comes by, and returns what to publish instead, or an error to refuse it: then
	// the publisher's error matches ErrRefused and that error. It may change Data (not
	// the bytes themselves, which others share), Binary and Key, and nothing else; what it
	// returns is checked as what comes from outside. Of several messages that are published
	// together each is asked for before the first is published.
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

// onPublish returns what the hook, which there is, makes of m.
func (c *Client) onPublish(ctx context.Context, m broker.Message) (changed broker.Message, err error) {
	err = c.node.guard("OnPublish", func() (err error) {
		changed, err = c.node.options.OnPublish(ctx, c.caller().Identity(), m)
		return err
	})
	changed.Channel, changed.By, changed.Traceparent = m.Channel, m.By, m.Traceparent // what was decided, and what the publisher is told, is about these
	return changed, err
}

// enter returns why the caller may not hear or read a channel. Where it returns nil, leave
// is to be called.
func (c *Client) enter(ctx context.Context, channel string) error {
	if err := c.Check(access.Subscribe, channel); err != nil {
		return err
	}
	return c.ask(ctx, "OnSubscribe", c.node.options.OnSubscribe, channel)
}

// ask returns why a hook, which may be nil, refuses the caller a channel.
func (c *Client) ask(ctx context.Context, name string, hook func(context.Context, transport.Identity, string) error, channel string) error {
	if hook == nil {
		return nil
	}
	return c.node.guard(name, func() error { return hook(ctx, c.caller().Identity(), channel) })
}

// leave says that the caller does not hear a channel any more.
func (c *Client) leave(channel string) {
	tell := c.node.options.OnLeave
	if tell == nil {
		return
	}
	_ = c.node.guard("OnLeave", func() error { // it has no say
		tell(c.caller().Identity(), channel)
		return nil
	})
}

// guard calls a hook, and returns why it refuses. One that panics does, and the log says so.
func (n *Node) guard(name string, hook func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			n.options.Logger.Error("node: a hook has panicked, which counts as a refusal", "hook", name, "panic", nameOf(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("node: %s: %w: it has panicked", name, ErrRefused)
		}
	}()
	if err := hook(); err != nil {
		return refusedBy(name, err)
	}
	return nil
}

// nameOf returns what a log may have of a panic: what is the runtime's own, as anything else
// may quote what came from outside.
func nameOf(p any) string {
	if err, ok := p.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("%T", p)
}
