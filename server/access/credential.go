package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

// ErrUnauthorized means that a credential is needed, or that one was given which is not
// valid. Its text does not quote it.
var ErrUnauthorized = errors.New("access: unauthorized")

// Tokens verify the tokens of users: a *token.Verifier does.
type Tokens interface {
	// Verify returns what a token says that is valid, an error that matches token.ErrInvalid,
	// or a *token.UnavailableError where that cannot be told now.
	Verify(ctx context.Context, token string) (token.Claims, error)
	// Trusts reports whether the issuer of a token that was valid still counts.
	Trusts(issuer token.Fingerprint) bool
}

type credentialKind int

const (
	keyCredential credentialKind = iota
	tokenCredential
	ticketCredential
)

// kindOf returns what a credential is by its form. Only that kind is tried, so that nothing
// which is sent by mistake is compared with secrets of another kind.
func kindOf(credential string) credentialKind {
	switch {
	case strings.HasPrefix(credential, "pgt_"):
		return ticketCredential
	case strings.HasPrefix(credential, "eyJ") && strings.Count(credential, ".") == 2:
		return tokenCredential
	default:
		return keyCredential
	}
}

// Authenticate returns the Caller that a credential stands for. Keys count only where they
// are secret: in a header, which no page, no history and no log of a proxy has. The error
// matches ErrUnauthorized, or is a *token.UnavailableError. The context bounds
// how long it waits for the keys of an issuer.
func (p *Policy) Authenticate(ctx context.Context, credential string, inHeader bool) (*Caller, error) {
	switch kindOf(credential) {
	case tokenCredential:
		return p.authenticateToken(ctx, credential)
	case ticketCredential:
		return nil, fmt.Errorf("%w: tickets are not taken", ErrUnauthorized)
	}
	caller := keyed(p.keys, credential)
	switch {
	case caller == nil:
		return nil, fmt.Errorf("%w: an unknown key", ErrUnauthorized)
	case !inHeader:
		return nil, fmt.Errorf("%w: a key that was not in the header Authorization", ErrUnauthorized)
	}
	return caller, nil
}

func (p *Policy) authenticateToken(ctx context.Context, credential string) (*Caller, error) {
	if p.tokens == nil {
		return nil, fmt.Errorf("%w: no tokens are taken", ErrUnauthorized)
	}
	claims, err := p.tokens.Verify(ctx, credential)
	switch {
	case errors.Is(err, token.ErrInvalid):
		return nil, fmt.Errorf("%w: %w", ErrUnauthorized, err)
	case err != nil:
		return nil, fmt.Errorf("access: %w", err)
	}
	return p.callers.of(claims), nil
}

// Renew returns a Caller whom another Policy has let in as p sees it, or false where its
// credential does not count any more. Callers that were made by NewCaller always do.
func (p *Policy) Renew(c *Caller) (*Caller, bool) {
	switch {
	case c.credential == [32]byte{} || p.open:
		return c, true
	case c.identity.Kind == transport.User:
		return c, p.tokens != nil && p.tokens.Trusts(c.credential)
	}
	i := slices.IndexFunc(p.keys, func(k key) bool { return k.Digest == c.credential })
	if i < 0 {
		return nil, false
	}
	return p.keys[i].caller, true
}
