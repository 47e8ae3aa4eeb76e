package config

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/pattern"
)

// A ruleNodes says where a rule's patterns stand.
type ruleNodes struct {
	rule     *yaml.Node
	patterns []*yaml.Node
}

// rules reads all rules. They are not nil, as no rule is another thing than no list of them.
func (r *reader) rules(n *yaml.Node) []access.Rule {
	rules, nodes := []access.Rule{}, []ruleNodes{}
	r.list(n, func(item *yaml.Node) {
		rule, at, ok := r.rule(item)
		if ok {
			rules, nodes = append(rules, rule), append(nodes, at)
		}
	})
	r.warnOfCovered(rules, nodes)
	r.warnOfRests(rules, nodes)
	r.warnOfOthers(rules, nodes)
	return rules
}

// rule reads one rule, and reports whether it can be used.
func (r *reader) rule(n *yaml.Node) (access.Rule, ruleNodes, bool) {
	faults := len(r.faults)
	rule, at := access.Rule{Line: n.Line}, ruleNodes{rule: n}
	found := r.object(n, fields{
		"channels":    r.channels(&rule, &at),
		"subscribe":   r.who(&rule.Subscribe),
		"publish":     r.who(&rule.Publish),
		"history":     r.retention(&rule.History),
		"max-message": r.parsed((*Size)(&rule.MaxMessage)),
		"rate":        r.rate(&rule.Rate),
		"strangers":   r.flag(&rule.Strangers),
		"presence":    r.flag(&rule.Presence),
	})
	r.need(n, found, "channels")
	if len(r.faults) > faults {
		return rule, at, false
	}
	if err := rule.Check(); err != nil {
		r.fault(n, "%s", Plain(err))
		return rule, at, false
	}
	return rule, at, true
}

// channels returns what reads a rule's patterns.
func (r *reader) channels(rule *access.Rule, at *ruleNodes) func(*yaml.Node) {
	return func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
			r.fault(n, "a rule has at least one channel")
		}
		r.list(n, func(item *yaml.Node) {
			text, ok := r.text(item)
			if !ok {
				return
			}
			if _, err := pattern.ParseRule(text); err != nil {
				r.fault(item, "%s", Plain(err))
				return
			}
			rule.Channels, at.patterns = append(rule.Channels, text), append(at.patterns, item)
		})
	}
}

// who returns what reads whom a rule lets in.
func (r *reader) who(to *access.Who) func(*yaml.Node) {
	return func(n *yaml.Node) {
		word, ok := r.text(n)
		if !ok {
			return
		}
		who, known := access.ParseWho(word)
		if !known {
			if near := Nearest(word, access.Whos()); near != "" {
				r.fault(n, "unknown word; did you mean %s?", near)
				return
			}
			r.fault(n, "this must be one of %s", strings.Join(access.Whos(), ", "))
			return
		}
		*to = who
	}
}

// retention returns what reads how much of a channel is kept.
func (r *reader) retention(to *broker.Retention) func(*yaml.Node) {
	return func(n *yaml.Node) {
		found := r.object(n, fields{
			"for":      r.duration(&to.MaxAge, broker.MinHistory, broker.MaxHistory),
			"messages": r.number(&to.MaxMessages, 1, broker.MaxHistorySize),
		})
		if len(found) == 0 && n.Kind == yaml.MappingNode {
			r.fault(n, "this must have for, messages or both")
		}
	}
}

// warnOfCovered tells which patterns can never decide.
func (r *reader) warnOfCovered(rules []access.Rule, nodes []ruleNodes) {
	for at, earlier := range access.Covered(rules) {
		r.warn(nodes[at[0]].patterns[at[1]], "this pattern never decides: the rule in line %d comes first and covers all of its channels", rules[earlier].Line)
	}
}

// warnOfRests tells where a subject has what is below its channel, and not the channel itself.
func (r *reader) warnOfRests(rules []access.Rule, nodes []ruleNodes) {
	for i, rule := range rules {
		for j, text := range rule.Channels {
			itself, rest := parentOf(text)
			if rest && strings.HasSuffix(itself, "{sub}") && !hasPattern(rules, itself) {
				r.warn(nodes[i].patterns[j], "%s covers what is below %s but not that channel itself; add %q if you mean that, too", text, itself, itself)
			}
		}
	}
}

// warnOfOthers tells where {sub} keeps nobody out of the channels of other subjects, as another
// pattern of the rule has them, too.
func (r *reader) warnOfOthers(rules []access.Rule, nodes []ruleNodes) {
	for i, rule := range rules {
		for j, text := range rule.Channels {
			if own := ownWithin(rule, text); own != "" {
				r.warn(nodes[i].patterns[j], "%s has all channels of %s in the same rule, so that {sub} keeps nobody out of another user's; leave one of them out", text, own)
			}
		}
	}
}

// ownWithin returns a pattern of a rule with {sub} all of whose channels text, a pattern without,
// stands for. It is empty where there is none.
func ownWithin(rule access.Rule, text string) string {
	wide, err := pattern.ParseRule(text)
	if err != nil || wide.HasSubject() {
		return ""
	}
	i := slices.IndexFunc(rule.Channels, func(c string) bool {
		own, err := pattern.ParseRule(c)
		return err == nil && own.HasSubject() && wide.Covers(own)
	})
	if i < 0 {
		return ""
	}
	return rule.Channels[i]
}

// parentOf returns what stands ahead of "**" and its separator.
func parentOf(text string) (string, bool) {
	for _, separator := range ".:/" {
		if parent, ok := strings.CutSuffix(text, fmt.Sprintf("%c**", separator)); ok {
			return parent, true
		}
	}
	return "", false
}

// hasPattern reports whether a pattern, other than one for a whole rest, has the channels of text.
func hasPattern(rules []access.Rule, text string) bool {
	want, err := pattern.ParseRule(text)
	return err == nil && slices.ContainsFunc(rules, func(rule access.Rule) bool {
		return slices.ContainsFunc(rule.Channels, func(c string) bool {
			p, err := pattern.ParseRule(c)
			return err == nil && !strings.HasSuffix(c, "**") && p.Covers(want)
		})
	})
}

func asksForTokens(rule access.Rule) bool {
	asks := func(w access.Who) bool { return w == access.Token || w == access.Grant }
	return asks(rule.Subscribe) || asks(rule.Publish)
}
