package cmd

import (
	"fmt"
	"slices"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/config"
)

// tell logs what a reload has changed, and what it could not.
func (e *entry) tell(before, next *admission) {
	rules, rulesBefore := describeRules(next.config.Rules), describeRules(before.config.Rules)
	keys, keysBefore := describe(next.config.Keys), describe(before.config.Keys)
	e.log.Info("the configuration was reloaded",
		"rules", len(rules), "new_rules", missing(rules, rulesBefore), "gone_rules", missing(rulesBefore, rules),
		"keys", len(keys), "new_keys", missing(keys, keysBefore), "gone_keys", missing(keysBefore, keys),
		"issuers", len(next.config.Issuers))
	for _, lost := range losses(before, next) {
		e.log.Warn("the configuration has no "+lost+" any more", "access", e.serve.openness(next))
	}
	if fixed := e.fixed(next.config); len(fixed) > 0 {
		e.log.Warn("these settings have changed in the file, which has no effect until the server is started again", "settings", fixed)
	}
}

// losses are the parts that the configuration before had and the next one has nothing of: more
// often a file that was cut off than what somebody wants.
func losses(before, next *admission) []string {
	var lost []string
	for _, part := range []struct {
		name          string
		before, after int
	}{
		{"rules", len(before.config.Rules), len(next.config.Rules)},
		{"keys", len(before.config.Keys), len(next.config.Keys)},
		{"tokens", len(before.config.Issuers), len(next.config.Issuers)},
	} {
		if part.before > 0 && part.after == 0 {
			lost = append(lost, part.name)
		}
	}
	return lost
}

// describe returns a text for each of all, by which it is the same as another or not. It has
// digests of secrets, so it is not for showing.
func describe[T any](all []T) []string {
	texts := make([]string, len(all))
	for i := range all {
		texts[i] = fmt.Sprintf("%+v", all[i])
	}
	return texts
}

// describeRules is describe for rules, which may move to other lines.
func describeRules(rules []access.Rule) []string {
	moved := slices.Clone(rules)
	for i := range moved {
		moved[i].Line = 0
	}
	return describe(moved)
}

// missing returns how many of these are not among others.
func missing(these, others []string) int {
	n := 0
	for _, text := range these {
		if !slices.Contains(others, text) {
			n++
		}
	}
	return n
}

// fixed returns the settings of the file that are others than when the server started.
func (e *entry) fixed(next config.Config) []string {
	var names []string
	started := e.serve.file.all
	for name, s := range next.Settings {
		if s.Value != started[name].Value {
			names = append(names, name)
		}
	}
	for name := range started {
		if _, ok := next.Settings[name]; !ok {
			names = append(names, name)
		}
	}
	if !slices.Equal(next.TrustProxies, e.serve.file.proxies) {
		names = append(names, "trust-proxies")
	}
	slices.Sort(names)
	return names
}
