package token

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// A Draft is what a token is to say. What is empty is left out.
type Draft struct {
	Subject   string
	Subscribe []string // patterns, which are not checked
	Publish   []string
	Info      []byte // any JSON, at most 1 KiB

	Issued  time.Time // iat, in whole seconds
	Expires time.Time // exp, likewise; zero: never

	Issuer, Audience string
	Claim            string // that has the grants; DefaultClaim if empty
	KeyID            string // kid
}

// Mint signs a token. key is a private key in PEM, for RS256, ES256, ES384, ES512 or EdDSA, or else a
// secret of at least 32 bytes, for HS256.
//
// What no [Verifier] takes is not signed: the error matches [ErrInvalid] where that is so, else
// [ErrKey] or [ErrWeakKey]. It contains neither the key nor the draft.
func Mint(secretOrPEM []byte, d Draft) (string, error) {
	signer, k, err := signingKey(secretOrPEM)
	if err != nil {
		return "", fmt.Errorf("token: mint: %w", err)
	}
	alg := k.algs[0]
	signed, err := d.encode(alg)
	if err != nil {
		return "", fmt.Errorf("token: mint: %w", err)
	}
	signature, err := jwt.GetSigningMethod(alg).Sign(signed, signer)
	if err != nil {
		return "", fmt.Errorf("token: mint: sign with %s: %w", alg, err)
	}
	raw := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if err := d.check(raw); err != nil {
		return "", fmt.Errorf("token: mint: %w", err)
	}
	return raw, nil
}

// signingKey returns what golang-jwt signs with, and its public half.
func signingKey(secretOrPEM []byte) (any, key, error) {
	if isPEM(secretOrPEM) {
		return privateKey(secretOrPEM)
	}
	k, err := secretKey(secretOrPEM)
	return k.public, k, err
}

// encode returns the header and the claims as they are signed.
func (d Draft) encode(alg string) (string, error) {
	header := map[string]any{"alg": alg, "typ": "JWT"}
	put(header, "kid", d.KeyID)

	grants := map[string]any{}
	put(grants, "subscribe", d.Subscribe)
	put(grants, "publish", d.Publish)
	put(grants, "info", jsontext.Value(d.Info))

	claims := map[string]any{}
	put(claims, "sub", d.Subject)
	put(claims, "iss", d.Issuer)
	put(claims, "aud", d.Audience)
	if !d.Issued.IsZero() {
		claims["iat"] = d.Issued.Unix()
	}
	if !d.Expires.IsZero() {
		claims["exp"] = d.Expires.Unix()
	}
	if len(grants) > 0 {
		claims[d.claim()] = grants
	}
	h, err := encode(header)
	if err != nil {
		return "", err
	}
	c, err := encode(claims)
	return h + "." + c, err
}

func (d Draft) claim() string { return cmp.Or(d.Claim, DefaultClaim) }

// put adds a member, unless it is empty.
func put[T ~string | ~[]string | ~[]byte](to map[string]any, name string, value T) {
	if len(value) > 0 {
		to[name] = value
	}
}

// encode returns JSON in base64url. It does not mend what is not valid, as encoding/json would.
func encode(object map[string]any) (string, error) {
	b, err := json.Marshal(object, json.Deterministic(true))
	if err != nil {
		return "", invalid("not valid UTF-8, or the info is not JSON")
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}

// check refuses what no Verifier would take.
func (d Draft) check(raw string) error {
	if err := checkLength(raw); err != nil {
		return err
	}
	t, err := parse(raw)
	if err != nil {
		return err
	}
	i := &issuer{Issuer: Issuer{Claim: d.claim(), NeverExpires: true}}
	_, err = i.claims(t.claims, d.Issued)
	return err
}
