package cmd

import (
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
)

// checkRetention returns why the broker cannot keep what rules say of their channels.
func (e *entry) checkRetention(a *admission) error {
	i := slices.IndexFunc(a.config.Rules, func(r access.Rule) bool { return !r.History.IsZero() })
	if i < 0 {
		return nil
	}
	if e.history == nil {
		return fmt.Errorf("%s: line %d: the rule has a history, and the server keeps none: give --history, too%w", e.serve.Access.Config, a.config.Rules[i].Line, errUsage)
	}
	if _, ok := e.history.(broker.Retainer); !ok {
		return fmt.Errorf("%s: line %d: the rule has a history of its own, and this broker keeps the same of all channels%w", e.serve.Access.Config, a.config.Rules[i].Line, errUsage)
	}
	return nil
}

// retain tells the broker what rules say is to be kept of their channels.
func (e *entry) retain(a *admission) {
	retainer, ok := e.history.(broker.Retainer)
	if !ok {
		return
	}
	var longest broker.Retention
	for _, r := range a.config.Rules {
		longest.MaxAge = max(longest.MaxAge, r.History.MaxAge)
		longest.MaxMessages = max(longest.MaxMessages, r.History.MaxMessages)
	}
	if longest.IsZero() {
		retainer.Retain(longest, nil)
		return
	}
	retainer.Retain(longest, func(channel string) broker.Retention {
		if r := a.policy.Rule(channel); r != nil {
			return r.History
		}
		return broker.Retention{}
	})
}
