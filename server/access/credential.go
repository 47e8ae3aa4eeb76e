package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pregon/pregon/transport"
)

// ErrUnauthorized means that a credential is needed, or that one was given which is not
// valid. Its text does not quote it.
var ErrUnauthorized = errors.New("access: unauthorized")

// Tokens verify the tokens of users. See package token.
type Tokens interface {
	// Verify returns who the token is for, of Kind User, an error that says that it is not
	// valid, or a *token.UnavailableError where that cannot be told now.
	Verify(ctx context.Context, token string) (transport.Identity, error)
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
// matches ErrUnauthorized, or is that of Tokens which cannot tell now. The context bounds
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
	identity, err := p.tokens.Verify(ctx, credential)
	if err != nil {
		return nil, err
	}
	return NewCaller(identity), nil
}
