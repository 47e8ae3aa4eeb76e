package token

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
)

// Options are what [New] needs beside the issuers.
type Options struct {
	Keysets *Keysets         // needed where an issuer has a JWKS; its owner closes it
	Now     func() time.Time // time.Now if nil
}

// A Verifier tells which tokens are valid. It does not change; a new configuration is a new one.
type Verifier struct {
	issuers []*issuer
	now     func() time.Time
	valid   cache
}

// New returns a Verifier of the tokens of these issuers; without issuers no token is valid. The error
// is an [*IssuerError]. Nothing waits for the fetch of a key set.
//
// Key sets that the Verifier needs are fetched from now on, until [Keysets.Retain] is told of
// others.
func New(issuers []Issuer, o Options) (*Verifier, error) {
	v := &Verifier{now: o.Now}
	if v.now == nil {
		v.now = time.Now
	}
	for _, i := range issuers {
		n, err := newIssuer(i)
		if err != nil {
			return nil, err
		}
		if n.JWKS != "" && o.Keysets == nil {
			return nil, &IssuerError{i.Line, errors.New("a JWKS without Options.Keysets")}
		}
		v.issuers = append(v.issuers, n)
	}
	for _, i := range v.issuers { // once nothing can fail any more
		if i.JWKS != "" {
			i.set = o.Keysets.open(i.JWKS)
		}
	}
	return v, nil
}

// Verify returns what a token says that is valid now. raw is the token as the client sent it.
//
// The error matches [ErrInvalid], or is an [*UnavailableError] where the token may be valid and that
// cannot be known now. Verify waits only for a key that is not known (see the package documentation),
// and no longer than ctx lasts.
func (v *Verifier) Verify(ctx context.Context, raw string) (Claims, error) {
	if err := checkLength(raw); err != nil {
		return Claims{}, err
	}
	id, version := sha256.Sum256([]byte(raw)), v.version()
	if c, ok := v.valid.get(id, version, v.now()); ok {
		return c, nil
	}
	t, err := parse(raw)
	if err != nil {
		return Claims{}, err
	}
	c, err := v.verify(ctx, t)
	if err != nil {
		return Claims{}, err
	}
	c.ID = id
	v.valid.put(id, version, c)
	return c, nil
}

// version grows when the keys of a set change. Asked for before the keys are read,
// it is never newer than they are.
func (v *Verifier) version() (n uint64) {
	for _, i := range v.issuers {
		if i.set != nil {
			n += i.set.version.Load()
		}
	}
	return n
}

func (v *Verifier) verify(ctx context.Context, t *token) (Claims, error) {
	var unknown []*issuer // those that may have the key once it is fetched
	refusal := error(invalid(NoIssuer))
	for _, i := range v.issuers {
		keys := i.find(t)
		switch {
		case !i.issued(t):
			continue
		case len(keys) == 0:
			if i.mayFetch(t) {
				unknown = append(unknown, i)
			}
			continue
		}
		c, err := v.try(i, t, keys)
		if err == nil {
			return c, nil
		}
		refusal = clearer(refusal, err)
	}
	return v.await(ctx, t, unknown, refusal)
}

// try returns what t says if one of these keys of i signed it.
func (v *Verifier) try(i *issuer, t *token, keys []key) (Claims, error) {
	by := slices.IndexFunc(keys, func(k key) bool { return k.verifies(t) })
	if by < 0 {
		return Claims{}, invalid(WrongSignature)
	}
	c, err := i.claims(t.claims, v.now())
	var refusal *InvalidError
	if errors.As(err, &refusal) {
		refusal.Line, refusal.signed = i.Line, true
		return Claims{}, err
	}
	c.Issuer = i.printOf(keys[by])
	return c, nil
}

// await is try for issuers whose key is not known yet. Where others have refused t, refusal says why.
func (v *Verifier) await(ctx context.Context, t *token, unknown []*issuer, refusal error) (Claims, error) {
	for _, i := range unknown {
		if rank(refusal) == signed {
			break // so the key is another's
		}
		c, err := v.fetch(ctx, i, t)
		if err == nil {
			return c, nil
		}
		refusal = clearer(refusal, err)
	}
	return Claims{}, refusal
}

// fetch waits for the key of t.
func (v *Verifier) fetch(ctx context.Context, i *issuer, t *token) (Claims, error) {
	if _, err := i.claims(t.claims, v.now()); err != nil {
		return Claims{}, err // with any key
	}
	keys, err := i.set.await(ctx, t.kid, t.alg)
	if err != nil {
		return Claims{}, err
	}
	return v.try(i, t, keys)
}

// What an error of an issuer is worth beside those of others.
const (
	unsigned    = iota // it may be the token of another
	unavailable        // it may be valid
	signed             // the issuer signed it, and says no
)

func rank(err error) int {
	var i *InvalidError
	var u *UnavailableError
	switch {
	case errors.As(err, &i) && i.signed:
		return signed
	case errors.As(err, &u):
		return unavailable
	}
	return unsigned
}

// clearer returns the error that says more, and of two that say as much the later.
func clearer(a, b error) error {
	if rank(b) < rank(a) {
		return a
	}
	return b
}
