package live_test

import (
	"context"
	"encoding/base64"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
)

// kinds are the servers that transcripts name.
var kinds = map[string]func() server.Options{
	"open":    func() server.Options { return server.Options{Broker: memory.New(), MaxMessage: 1000} },
	"history": func() server.Options { return server.Options{MaxMessage: 1000} },
	"rules":   func() server.Options { return server.Options{Access: rules(), MaxMessage: 1000} },
	"rules-limited": func() server.Options {
		return server.Options{Access: rules(), MaxMessage: 1000, Limits: server.Limits{Channels: 2}}
	},
}

const appKey = "k3y-of-the-application-0001"

// grants are the tokens, by the names that transcripts give them.
var grants = map[string]token.Claims{
	"ana":      {Subject: "ana", Subscribe: []string{"room.*"}, Publish: []string{"room.*", "rare.*", "short.*"}, Info: []byte(`{"name":"Ana"}`)},
	"ana-less": {Subject: "ana", Subscribe: []string{"room.2"}},
	"bob":      {Subject: "bob", Subscribe: []string{"room.*"}},
	"expired":  {Subject: "ana", Subscribe: []string{"**"}, Expires: time.Unix(1, 0)},
}

// lasts is how long the other tokens last.
const lasts = 10 * time.Minute

// tokenOf returns the text of a token, which has the form of one.
func tokenOf(name string) string {
	return "eyJhbGciOiJub25lIn0." + base64.RawURLEncoding.EncodeToString([]byte(`{"name":"`+name+`"}`)) + ".c2lnbmF0dXJl"
}

// tokens are the grants by their texts.
type tokens struct{}

func (tokens) Verify(_ context.Context, text string) (token.Claims, error) {
	for name, claims := range grants {
		if text == tokenOf(name) {
			if !claims.Expires.IsZero() {
				break
			}
			claims.Expires = time.Now().Add(lasts)
			return claims, nil
		}
	}
	return token.Claims{}, token.ErrInvalid
}

func (tokens) Trusts(token.Fingerprint) bool { return true }

// rules are those of the servers with rules.
func rules() *access.Policy {
	digest, err := access.DigestOf(appKey)
	if err != nil {
		panic(err)
	}
	p, err := access.New(access.Config{
		Keys: []access.Key{{Name: "app", Digest: digest}}, Tokens: tokens{},
		Rules: []access.Rule{
			{Line: 1, Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant},
			{Line: 2, Channels: []string{"user.{sub}"}, Subscribe: access.Token},
			{Line: 3, Channels: []string{"rare.*"}, Subscribe: access.Token, Publish: access.Grant, Rate: access.Rate{Events: 1, Per: time.Hour}},
			{Line: 4, Channels: []string{"short.*"}, Publish: access.Grant, MaxMessage: 5},
		},
	})
	if err != nil {
		panic(err)
	}
	return p
}
