package access

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// A Config is what a Policy is made of.
type Config struct {
	Keys   []Key
	Tokens Tokens // nil where there are no tokens

	// Rules are tried in their order. Nil stands for one that has all channels: with Tokens,
	// though they take nobody's, it lets those in whose token names the channel; without,
	// anyone may subscribe. It has presence.
	Rules []Rule
}

// A Policy is who may what. It is immutable, but for what it remembers of tokens.
type Policy struct {
	open   bool
	keys   []key
	tokens Tokens
	rules  []*rule
	table  table
	hash   string

	callers callers // by tokens, which it remembers
}

// Open returns the Policy that lets everybody do everything, and knows no credential.
func Open() *Policy { return &Policy{open: true, hash: "open"} }

// New returns the Policy of a configuration. The error matches ErrKey or ErrRule.
func New(c Config) (*Policy, error) {
	p := &Policy{tokens: c.Tokens}
	var err error
	if p.keys, err = compileKeys(c.Keys); err != nil {
		return nil, err
	}
	rules := c.Rules
	if rules == nil {
		rules = []Rule{{Channels: []string{"**"}, Subscribe: Anyone, Presence: true}}
		if c.Tokens != nil {
			rules[0].Subscribe, rules[0].Publish = Grant, Grant
		}
	}
	for i, r := range rules {
		compiled, err := r.compile()
		if err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		p.rules = append(p.rules, compiled)
	}
	p.table = newTable(p.rules)
	p.hash = hash(c.Keys, rules)
	return p, nil
}

// Hash returns what stands for the keys and rules of p: nodes that go by the same have the same one. No
// key can be found out by it.
func (p *Policy) Hash() string { return p.hash }

func hash(keys []Key, rules []Rule) string {
	h := sha256.New()
	for _, k := range keys {
		fmt.Fprintf(h, "%q %x %q %q %v %v\n", k.Name, k.Digest, k.Subscribe, k.Publish, k.Rate, k.Admin)
	}
	for _, r := range rules {
		r.Line = 0
		fmt.Fprintf(h, "%q\n", fmt.Sprint(r))
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// IsOpen reports whether everybody may do everything.
func (p *Policy) IsOpen() bool { return p.open }

// HasAdmin reports whether there is a key that may administer the server.
func (p *Policy) HasAdmin() bool {
	return slices.ContainsFunc(p.keys, func(k key) bool { return k.Admin })
}

// TakesTokens reports whether there are callers with tokens.
func (p *Policy) TakesTokens() bool { return p.tokens != nil }

// Presence reports whether it is known who is in a channel: everywhere, where everything is open,
// and otherwise where the channel's rule says so.
func (p *Policy) Presence(channel string) bool {
	if p.open {
		return true
	}
	r := p.table.find(channel)
	return r != nil && r.Presence
}

// HasPresence reports whether there is such a channel.
func (p *Policy) HasPresence() bool {
	return p.open || slices.ContainsFunc(p.rules, func(r *rule) bool { return r.Presence })
}

// Rule returns what applies to a channel, nil where no rule matches it.
func (p *Policy) Rule(channel string) *Rule {
	if r := p.table.find(channel); r != nil {
		return &r.Rule
	}
	return nil
}

// Decide says whether a Caller may do something with a channel now.
func (p *Policy) Decide(c *Caller, a Action, channel string) Decision {
	if p.open {
		return Decision{Action: a, Reason: EverythingIsOpen}
	}
	if !c.identity.Expires.IsZero() && c.Expired(time.Now()) {
		return Decision{Action: a, Reason: CredentialExpired, Kind: c.identity.Kind}
	}
	return p.decide(c, a, channel)
}
