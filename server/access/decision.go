package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// An Action is what somebody wants to do with a channel.
type Action int

// Actions.
const (
	Subscribe Action = iota // hear it, read its history, see who listens
	Publish
	Clear // forget its history: keys that may publish there
)

// String returns the verb.
func (a Action) String() string {
	return [...]string{Subscribe: "subscribe", Publish: "publish", Clear: "clear the history"}[a]
}

// A Reason is what a Decision rests on.
type Reason int

// Reasons for a yes.
const (
	EverythingIsOpen Reason = iota // there are no rules
	AnyoneMay
	AnyTokenMay
	TokenGrants
	KeyMay
)

// Reasons for a no.
const (
	NoRule Reason = iota + 100 // matches, so only keys may
	OnlyKeysMay
	NoCredential // and the rule asks for one
	NotGranted
	OtherSubject // than the channel's
	NotOfKey     // the channel or the action
	CredentialExpired
	CredentialUnknown // any more
	NoRuleAtAll       // lets such a caller do it, whatever the channel
)

// A Decision says whether somebody may do something, and why.
type Decision struct {
	Action Action
	Reason Reason
	Rule   *Rule          // that was asked; nil where there was none to ask
	Kind   transport.Kind // of the caller

	BadPatterns int // of the caller's: they are not valid, and match nothing
}

// Allowed reports whether it is a yes.
func (d Decision) Allowed() bool { return d.Reason < NoRule }

// decide is Decide without a look at the time, where not everything is open.
func (p *Policy) decide(c *Caller, a Action, channel string) Decision {
	d := Decision{Action: a, Kind: c.identity.Kind}
	if strings.HasPrefix(channel, broker.ReservedPrefix) {
		d.Reason = NoRule
		return d
	}
	c, counts := p.Renew(c)
	if !counts {
		d.Reason = CredentialUnknown
		return d
	}
	if d.Kind == transport.Backend {
		d.Reason = NotOfKey
		if c.unbounded() || c.granted(a, channel) {
			d.Reason = KeyMay
		}
		return d
	}
	r := p.table.find(channel)
	if r == nil {
		d.Reason = NoRule
		return d
	}
	d.Rule, d.Reason, d.BadPatterns = &r.Rule, r.decide(c, a, channel), c.badPatterns
	return d
}

// decide returns why a caller that is no key may do something, or may not.
func (r *rule) decide(c *Caller, a Action, channel string) Reason {
	switch who := r.who(a); {
	case who == Anyone:
		return AnyoneMay
	case who == Keys:
		return OnlyKeysMay
	case c.identity.Kind != transport.User:
		return NoCredential
	case !r.of(channel, c.identity.Subject):
		return OtherSubject
	case who == Token:
		return AnyTokenMay
	case c.granted(a, channel):
		return TokenGrants
	}
	return NotGranted
}

// Anywhere says whether there may be a channel with which a Caller may do something: a no is a
// no for all of them.
func (p *Policy) Anywhere(c *Caller, a Action) Decision {
	d := Decision{Action: a, Kind: c.identity.Kind, Reason: NoRuleAtAll}
	switch {
	case p.open:
		d.Reason = EverythingIsOpen
	case d.Kind == transport.Backend:
		d.Reason = KeyMay
	case slices.ContainsFunc(p.rules, func(r *rule) bool { return r.lets(d.Kind, a) }):
		d.Reason = AnyoneMay
	}
	return d
}

// lets reports whether r lets some callers of a kind do something.
func (r *rule) lets(kind transport.Kind, a Action) bool {
	who := r.who(a)
	return who == Anyone || who != Keys && kind == transport.User
}

// who returns whom r lets in for an action.
func (r *rule) who(a Action) Who {
	switch a {
	case Subscribe:
		return r.Subscribe
	case Publish:
		return r.Publish
	default:
		return Keys
	}
}

// ErrForbidden means that a caller with a valid credential may not do what it wants. It
// matches broker.ErrDenied, as nothing was done.
var ErrForbidden = fmt.Errorf("access: forbidden: %w", broker.ErrDenied)

// A DeniedError is a Decision that is a no. It matches ErrUnauthorized where a credential, or
// another one, could help, otherwise ErrForbidden, and broker.ErrDenied in any case.
type DeniedError struct{ Decision }

// Error says in words why, without the channel.
func (e *DeniedError) Error() string { return "access: " + e.Decision.String() }

// Is makes errors.Is find what the error matches.
func (e *DeniedError) Is(target error) bool {
	if target == ErrUnauthorized || target == ErrForbidden {
		return (target == ErrUnauthorized) == e.Unauthorized()
	}
	return errors.Is(ErrForbidden, target)
}

// Err returns nil for a yes, and otherwise a *DeniedError.
func (d Decision) Err() error {
	if d.Allowed() {
		return nil
	}
	return &DeniedError{d}
}

// Unauthorized reports whether a no is for want of a credential that counts.
func (d Decision) Unauthorized() bool {
	return !d.Allowed() && (d.Kind == transport.Stranger || d.Reason == CredentialExpired || d.Reason == CredentialUnknown)
}

// String says in words what the Decision is and which rule it rests on: for operators.
func (d Decision) String() string {
	text := "may "
	if !d.Allowed() {
		text = "may not "
	}
	return text + d.Action.String() + ": " + d.Why()
}

// Why says in words what the Decision rests on.
func (d Decision) Why() string {
	switch d.Reason {
	case EverythingIsOpen:
		return "this server lets everyone do everything"
	case CredentialExpired:
		return "the credential has expired"
	case CredentialUnknown:
		return "the credential does not count any more"
	case KeyMay:
		return "the key's own patterns allow it"
	case NotOfKey:
		return "the key's own patterns do not allow it"
	case NoRuleAtAll:
		return "no rule lets such a caller do it in any channel"
	case NoRule:
		return "no rule has this channel, so only keys may"
	}
	return d.rule() + " " + d.byRule()
}

// rule returns which rule it is.
func (d Decision) rule() string {
	if d.Rule.Line == 0 {
		return "the rule for " + strings.Join(d.Rule.Channels, ", ")
	}
	return fmt.Sprintf("the rule in line %d for %s", d.Rule.Line, strings.Join(d.Rule.Channels, ", "))
}

func (d Decision) byRule() string {
	switch d.Reason {
	case AnyoneMay:
		return "allows anyone"
	case AnyTokenMay:
		return "allows any valid token"
	case TokenGrants:
		return "allows tokens that grant it, as this one does"
	case OnlyKeysMay:
		return "allows only keys"
	case NoCredential:
		return "asks for a token, and there was none"
	case OtherSubject:
		return "is for the subject that the channel names, and this token has another"
	}
	text := "asks for a grant, and this token has none for the channel"
	if d.BadPatterns > 0 {
		text += fmt.Sprintf("; %d of its patterns are not valid and match nothing (\"*\" is a whole segment, and \"**\" the rest)", d.BadPatterns)
	}
	return text
}

// Detail says why not, for the caller: without what is the operator's business.
func (d Decision) Detail() string {
	switch {
	case d.Reason == CredentialExpired:
		return "The credential has expired; get a new one."
	case d.Reason == CredentialUnknown:
		return "The credential does not count any more; get a new one."
	case d.Unauthorized():
		return "This needs a credential: Authorization: Bearer with a token or a key."
	case d.Reason == NotOfKey:
		return "This key may not " + d.Action.String() + " here."
	case d.Reason == OtherSubject:
		return "This channel is another subject's."
	case d.Reason == NotGranted:
		return "This token does not grant that: it may not " + d.Action.String() + " here."
	default:
		return "Only keys may do this here."
	}
}
