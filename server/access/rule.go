package access

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access/pattern"
)

// A Who says which callers a rule lets in. Keys are let in or not by their own patterns,
// whatever a rule says.
type Who int

// Callers that a rule lets in.
const (
	Keys   Who = iota // none but keys
	Grant             // those whose token names the channel
	Token             // those with any valid token
	Anyone            // all
)

// whos are the words for each Who.
var whos = []string{Keys: "key", Grant: "grant", Token: "token", Anyone: "anyone"}

// String returns the word that configurations have for w.
func (w Who) String() string { return whos[w] }

// Whos returns the words that ParseWho knows.
func Whos() []string { return slices.Clone(whos) }

// ParseWho returns the Who of a word.
func ParseWho(word string) (Who, bool) {
	i := slices.Index(whos, word)
	return Who(max(i, 0)), i >= 0
}

// A Rule says who may use the channels of its patterns, and what applies to them. Zero values
// mean the server's own settings.
type Rule struct {
	Line int // in the configuration, 0 where it comes from elsewhere

	Channels           []string // patterns
	Subscribe, Publish Who

	History    broker.Retention // how much is kept
	MaxMessage int64            // bytes; never more than the server's
	Rate       Rate             // of each caller that is no key
	Strangers  bool             // other programs publish there with the broker's own means, which a lost link may cost
	Presence   bool             // it is known who listens
}

// ErrRule means that a Rule cannot be used.
var ErrRule = errors.New("access: not a rule")

// A rule is a Rule whose patterns have been read.
type rule struct {
	Rule
	patterns pattern.List
	subject  bool // some pattern has {sub}
}

// compile reads the patterns of r.
func (r Rule) compile() (*rule, error) {
	c := &rule{Rule: r}
	if len(r.Channels) == 0 {
		return nil, fmt.Errorf("%w: it has no channels", ErrRule)
	}
	for _, text := range r.Channels {
		p, err := pattern.ParseRule(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRule, err)
		}
		c.patterns = append(c.patterns, p)
		c.subject = c.subject || p.HasSubject()
	}
	if c.subject && (r.Subscribe == Anyone || r.Publish == Anyone) {
		return nil, fmt.Errorf("%w: {sub} is the subject of a token, so it does not go with %v", ErrRule, Anyone)
	}
	return c, nil
}

// of reports whether the channel, which the rule was chosen for, may be a subject's own.
func (r *rule) of(channel, subject string) bool {
	if !r.subject {
		return true
	}
	for i := range r.patterns {
		if matched, same := r.patterns[i].MatchSubject(channel, subject); matched && same {
			return true
		}
	}
	return false
}

// Check returns why r cannot be used, an error that matches ErrRule.
func (r Rule) Check() error {
	_, err := r.compile()
	return err
}

// Covered returns, for each of rules, the index of the first earlier one that covers a
// pattern of it, for the patterns that can therefore never decide: a key for each is its
// rule's index and its own. Rules that cannot be used cover nothing.
func Covered(rules []Rule) map[[2]int]int {
	covered, compiled := map[[2]int]int{}, make([]*rule, len(rules))
	for i, r := range rules {
		compiled[i], _ = r.compile()
		if compiled[i] == nil {
			continue
		}
		for j, p := range compiled[i].patterns {
			earlier := slices.IndexFunc(compiled[:i], func(e *rule) bool {
				return e != nil && slices.ContainsFunc(e.patterns, func(q pattern.Pattern) bool { return q.Covers(p) })
			})
			if earlier >= 0 {
				covered[[2]int{i, j}] = earlier
			}
		}
	}
	return covered
}
