package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
)

// Publish implements transport.Client. It keeps ms from the heap where the caller has
// one message: that is the common case, and the fast one.
func (c *Client) Publish(ctx context.Context, ms ...broker.Message) []broker.Result {
	results := make([]broker.Result, len(ms))
	if len(ms) == 1 {
		m, err := c.admit(ctx, ms[0])
		if err == nil {
			results[0].Receipt, err = c.node.publish(ctx, m)
		} else {
			c.node.publications.refused.Add(1)
		}
		results[0].Err = err
		return results
	}
	taken, from := c.admitAll(ctx, ms, results, c.chargeEach)
	c.node.publications.refused.Add(uint64(len(ms) - len(taken)))
	c.publish(ctx, taken, from, results)
	return results
}

// PublishAllOrNone is Publish of messages of which none is published where one is refused:
// then the Results of those that were not have ErrHeldBack. The broker may still fail in
// between.
func (c *Client) PublishAllOrNone(ctx context.Context, ms ...broker.Message) []broker.Result {
	results := make([]broker.Result, len(ms))
	taken, from := c.admitAll(ctx, ms, results, c.chargeTogether)
	if len(taken) == len(ms) {
		c.publish(ctx, taken, from, results)
		return results
	}
	c.node.publications.refused.Add(uint64(len(ms)))
	for _, i := range from {
		results[i].Err = ErrHeldBack
	}
	return results
}

// ErrHeldBack means that a message was not published because another one of its batch was
// refused. It matches broker.ErrDenied.
var ErrHeldBack = fmt.Errorf("node: not published, as another message was refused: %w", broker.ErrDenied)

// admitAll returns those of ms that may be published, as they are to be, and their indexes.
// The results of the others get the reason. Each question is asked of all before the next
// is, and hooks are the last. Charge counts those that nothing is wrong with.
func (c *Client) admitAll(ctx context.Context, ms []broker.Message, results []broker.Result, charge func([]*access.Rule, []broker.Result)) (taken []broker.Message, from []int) {
	rules := make([]*access.Rule, len(ms))
	for i, m := range ms {
		if rules[i], results[i].Err = c.decide(access.Publish, m.Channel); results[i].Err == nil {
			results[i].Err = c.node.unfit(m, rules[i])
		}
	}
	charge(rules, results)
	taken, from = make([]broker.Message, 0, len(ms)), make([]int, 0, len(ms))
	for i, m := range ms {
		if results[i].Err != nil {
			continue
		}
		if m, results[i].Err = c.changed(ctx, m, rules[i]); results[i].Err == nil {
			taken, from = append(taken, m), append(from, i)
		}
	}
	return taken, from
}

// publish publishes what was admitted.
func (c *Client) publish(ctx context.Context, taken []broker.Message, from []int, results []broker.Result) {
	for i, result := range c.node.publishAll(ctx, taken) {
		results[from[i]] = result
	}
}

// publish publishes one message that was admitted.
func (n *Node) publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	began := n.begin()
	receipt, err := n.hand(ctx, m)
	n.ended(began)
	n.publications.add(broker.Result{Receipt: receipt, Err: err})
	return receipt, err
}

// publishAll publishes several messages that were admitted.
func (n *Node) publishAll(ctx context.Context, ms []broker.Message) []broker.Result {
	if len(ms) == 0 {
		return nil
	}
	began := n.begin()
	results := n.handAll(ctx, ms)
	n.ended(began)
	for _, r := range results {
		n.publications.add(r)
	}
	return results
}

// hand hands the broker one message.
func (n *Node) hand(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if n.options.Publishing == nil {
		return n.broker.Publish(ctx, m)
	}
	ms := []broker.Message{m}
	ctx, ended := n.options.Publishing(ctx, ms)
	receipt, err := n.broker.Publish(ctx, ms[0])
	ended([]broker.Result{{Receipt: receipt, Err: err}})
	return receipt, err
}

// handAll hands the broker several messages.
func (n *Node) handAll(ctx context.Context, ms []broker.Message) []broker.Result {
	if n.options.Publishing == nil {
		return broker.PublishAll(ctx, n.broker, ms)
	}
	ctx, ended := n.options.Publishing(ctx, ms)
	results := broker.PublishAll(ctx, n.broker, ms)
	ended(results)
	return results
}

// admit returns what is to be published for m, or why it may not be.
func (c *Client) admit(ctx context.Context, m broker.Message) (broker.Message, error) {
	rule, err := c.decide(access.Publish, m.Channel)
	if err == nil {
		err = c.node.unfit(m, rule)
	}
	if err == nil {
		err = c.charge(rule, 1)
	}
	if err != nil {
		return m, err
	}
	return c.changed(ctx, m, rule)
}

// changed returns what the hook makes of m, whose channel has that rule, as the broker is to
// have it. It says who published it, and in which trace is for Options.Publishing to say, whatever the caller or the hook says.
func (c *Client) changed(ctx context.Context, m broker.Message, rule *access.Rule) (broker.Message, error) {
	m.By, m.Traceparent = c.author.Load(), ""
	if c.node.options.OnPublish == nil {
		return c.keyed(m), nil
	}
	changed, err := c.onPublish(ctx, m)
	if err == nil {
		err = c.node.unfit(changed, rule)
	}
	if err != nil {
		return m, err
	}
	return c.keyed(changed), nil
}

// ErrTooLong means that a message is longer than its channel takes by the rules of the node. It
// matches broker.ErrTooLarge.
var ErrTooLong = fmt.Errorf("node: the message is too long for its channel: %w", broker.ErrTooLarge)

// unfit returns why a message cannot be published, whoever wants to.
func (n *Node) unfit(m broker.Message, rule *access.Rule) error {
	if most := n.maxMessage(rule); most > 0 && int64(len(m.Data)) > most {
		return fmt.Errorf("%w: it has more than %d bytes", ErrTooLong, most)
	}
	if m.Key != "" {
		return n.CheckKey(m.Key)
	}
	return nil
}

// maxMessage returns the most bytes of a message in the channels of a rule, 0 for any number.
func (n *Node) maxMessage(rule *access.Rule) int64 {
	most := n.options.MaxMessage
	if rule != nil && rule.MaxMessage > 0 && (most <= 0 || rule.MaxMessage < most) {
		return rule.MaxMessage
	}
	return most
}

// errKeyUnknown is what there is to say of a key where none can be kept: the publisher
// would take a retry for safe.
var errKeyUnknown = fmt.Errorf("node: no history is kept, so a key cannot be known again: %w: %w", broker.ErrKey, errors.ErrUnsupported)

// CheckKey returns why nothing can be published with a key. The error matches broker.ErrKey
// and, where no key has an effect, errors.ErrUnsupported.
func (n *Node) CheckKey(key string) error {
	switch {
	case !validKey(key):
		return fmt.Errorf("node: a key that is not 1 to %d visible characters of ASCII with spaces inside: %w", broker.MaxKey, broker.ErrKey)
	case n.past == nil:
		return errKeyUnknown
	}
	return nil
}

// validKey reports whether key is 1 to MaxKey visible characters of ASCII, with
// spaces inside, which survive every header and log.
func validKey(key string) bool {
	if key == "" || len(key) > broker.MaxKey || key[0] == ' ' || key[len(key)-1] == ' ' {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
