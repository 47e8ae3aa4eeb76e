package token

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Defaults of an [Issuer].
const (
	DefaultClaim  = "pregon"
	DefaultMaxAge = 24 * time.Hour
)

// An Issuer is somebody whose tokens count: one entry of tokens in the configuration. It has exactly
// one of Secret, PublicKeys and JWKS.
type Issuer struct {
	// Secret is at least 32 bytes, for HS256, HS384 and HS512. It is taken as it is, with a newline
	// at its end if it has one.
	Secret []byte

	// PublicKeys are one or several keys in PEM: RSA of 2048 to 8192 bits for RS* and PS*, P-256,
	// P-384 or P-521 for ES*, Ed25519 for EdDSA. A private key among them is ErrPrivateKey.
	PublicKeys []byte

	// JWKS is the URL of a key set: https, or http on this machine. It needs Issuer and Audience,
	// as who runs it signs tokens for others, too.
	JWKS string

	Issuer   string        // what iss must be; empty: anything
	Audience string        // what aud must contain; empty: anything
	Claim    string        // that has the grants; DefaultClaim if empty
	MaxAge   time.Duration // how far away exp may be; DefaultMaxAge if 0

	// NeverExpires lets tokens live without exp, or for longer than MaxAge, which is not used then.
	NeverExpires bool

	Line int // in the configuration, for messages; 0: none
}

// An issuer is an Issuer that can verify.
type issuer struct {
	Issuer
	keys  []key       // where it has a secret or public keys
	set   *keyset     // otherwise
	print Fingerprint // of set; keys have their own
}

// newIssuer checks and completes i. Where it has a URL, the keyset is still missing.
func newIssuer(i Issuer) (*issuer, error) {
	if i.Claim == "" {
		i.Claim = DefaultClaim
	}
	if i.MaxAge == 0 {
		i.MaxAge = DefaultMaxAge
	}
	if err := i.check(); err != nil {
		return nil, &IssuerError{i.Line, err}
	}
	n := &issuer{Issuer: i}
	if err := n.load(); err != nil {
		return nil, &IssuerError{i.Line, err}
	}
	return n, nil
}

// Check returns what is wrong with i, an [*IssuerError]. Nothing is fetched.
func (i Issuer) Check() error {
	_, err := newIssuer(i)
	return err
}

// load reads the keys, or checks where they are.
func (i *issuer) load() (err error) {
	switch {
	case i.Secret != nil:
		var k key
		k, err = secretKey(i.Secret)
		i.keys = []key{k}
	case i.PublicKeys != nil:
		i.keys, err = publicKeys(i.PublicKeys)
	default:
		err = i.checkJWKS()
	}
	if err != nil {
		return err
	}
	i.print = i.fingerprint("jwks", []byte(i.JWKS))
	for n, k := range i.keys {
		i.keys[n].print = i.fingerprint(k.algs[0], k.bytes())
	}
	return nil
}

func (i *Issuer) check() error {
	sources := 0
	for _, given := range []bool{i.Secret != nil, i.PublicKeys != nil, i.JWKS != ""} {
		if given {
			sources++
		}
	}
	switch {
	case sources != 1:
		return errors.New("exactly one of a secret, public keys and a JWKS is needed")
	case i.MaxAge < 0:
		return errors.New("a negative maximum age")
	case slices.Contains([]string{"iss", "sub", "aud", "exp", "nbf", "iat", "jti"}, i.Claim):
		return errors.New("the claim of the grants is one that has another meaning (RFC 7519, section 4.1)")
	}
	return nil
}

func (i *Issuer) checkJWKS() error {
	if i.Issuer == "" || i.Audience == "" {
		return errors.New("a JWKS needs an issuer and an audience beside it")
	}
	u, err := url.Parse(i.JWKS)
	switch {
	case err != nil || u.Host == "" || u.Fragment != "":
		return errors.New("the JWKS is not a URL such as https://id.example.com/jwks.json")
	case u.Scheme == "https", u.Scheme == "http" && isLoopback(u.Hostname()):
		return nil
	}
	return errors.New("the JWKS is not an https URL; http will do only on this machine")
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// issued reports whether t says that it comes from i.
func (i *issuer) issued(t *token) bool {
	iss, ok, err := t.claims.text("iss")
	return i.Issuer.Issuer == "" || err == nil && ok && iss == i.Issuer.Issuer
}

// find returns the keys that may have signed t, as far as they are known.
func (i *issuer) find(t *token) []key {
	if i.set != nil {
		return i.set.find(t.kid, t.alg)
	}
	var keys []key
	for _, k := range i.keys {
		if k.fits(t.alg) {
			keys = append(keys, k)
		}
	}
	return keys
}

// mayFetch reports whether a fetch may bring the key of t, which is not known. Where keys are known, a
// token that names none would have been tried with them.
func (i *issuer) mayFetch(t *token) bool {
	return i.set != nil && slices.Contains(asymmetric, t.alg) && (t.kid != "" || !i.set.loaded())
}
