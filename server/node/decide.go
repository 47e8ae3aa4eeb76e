package node

import (
	"fmt"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
)

// Check returns why the caller may not do something with one of channels now, without doing
// it: the error of the first, which is that of the method that would do it. Where the policy
// is the reason it is an *access.DeniedError.
func (c *Client) Check(a access.Action, channels ...string) error {
	for _, channel := range channels {
		if _, err := c.decide(a, channel); err != nil {
			return err
		}
	}
	return nil
}

// CheckAnywhere returns why the caller may not do something with any channel, whatever its
// name, as far as that is plain without one.
func (c *Client) CheckAnywhere(a access.Action) error {
	if err := c.node.policy.Load().Anywhere(c.caller(), a).Err(); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// decide returns the rule of a channel, nil for none, or why the caller may not do something
// there: first comes what the name itself says, which is the same for all callers.
func (c *Client) decide(a access.Action, channel string) (*access.Rule, error) {
	if err := allowed(channel); err != nil {
		return nil, err
	}
	policy := c.node.policy.Load()
	d := policy.Decide(c.caller(), a, channel)
	if !d.Allowed() {
		return d.Rule, fmt.Errorf("node: %w", d.Err())
	}
	if d.Rule == nil && !policy.IsOpen() {
		return policy.Rule(channel), nil // a key is let in without asking for it
	}
	return d.Rule, nil
}

// allowed returns why a channel of that name may not be used, without the name.
func allowed(channel string) error {
	if err := broker.CheckChannel(channel); err != nil {
		return fmt.Errorf("node: %w: %w", broker.ErrDenied, err)
	}
	return nil
}
