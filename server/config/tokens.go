package config

import (
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/pregon/pregon/server/access/token"
)

// maxTokenAge is more than anybody means with max-age.
const maxTokenAge = 10 * 365 * 24 * time.Hour

// issuers reads who may give tokens to users.
func (r *reader) issuers(n *yaml.Node) []token.Issuer {
	issuers := []token.Issuer{}
	r.list(n, func(item *yaml.Node) {
		if i, ok := r.issuer(item); ok {
			issuers = append(issuers, i)
		}
	})
	return issuers
}

// issuer reads one of them, and reports whether it can be used.
func (r *reader) issuer(n *yaml.Node) (token.Issuer, bool) {
	faults := len(r.faults)
	i := token.Issuer{Line: n.Line}
	found := r.object(n, fields{
		"jwks":            r.into(&i.JWKS),
		"secret-file":     r.tokenSecret(&i.Secret),
		"public-key-file": r.tokenKeys(&i.PublicKeys),
		"issuer":          r.into(&i.Issuer),
		"audience":        r.into(&i.Audience),
		"claim":           r.into(&i.Claim),
		"max-age":         r.duration(&i.MaxAge, time.Second, maxTokenAge),
		"expires":         r.never(&i.NeverExpires),
	})
	r.exactlyOne(n, found, "jwks", "secret-file", "public-key-file")
	if found["max-age"] != nil && found["expires"] != nil {
		r.fault(found["max-age"], "expires: never lifts max-age; give one of them")
	}
	if jwks := found["jwks"]; jwks != nil {
		for _, name := range []string{"issuer", "audience"} {
			if found[name] == nil {
				r.fault(jwks, "jwks needs %s beside it, as its owner signs tokens for others, too", name)
			}
		}
	}
	if len(r.faults) > faults {
		return i, false
	}
	if err := i.Check(); err != nil {
		r.fault(n, "%s", Plain(err))
		return i, false
	}
	return i, true
}

func (r *reader) never(to *bool) func(*yaml.Node) {
	return func(n *yaml.Node) {
		text, ok := r.text(n)
		if ok && text != "never" {
			r.fault(n, "the only value is never, for tokens without an end")
		}
		*to = text == "never"
	}
}

func (r *reader) tokenSecret(to *[]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		secret, ok := r.secretFile(n)
		if !ok {
			return
		}
		if err := (token.Issuer{Secret: secret}).Check(); err != nil {
			r.fault(n, "%s", Plain(err))
			return
		}
		r.warnOfWeak(n, string(secret))
		*to = secret
	}
}

func (r *reader) tokenKeys(to *[]byte) func(*yaml.Node) {
	return func(n *yaml.Node) {
		keys, ok := r.file(n)
		if !ok {
			return
		}
		if err := (token.Issuer{PublicKeys: keys}).Check(); err != nil {
			r.fault(n, "%s", Plain(err))
			return
		}
		*to = keys
	}
}
