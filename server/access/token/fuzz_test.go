package token_test

import (
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pregon/pregon/server/access/token/tokentest"
)

// Verify never panics, and what it accepts an independent parser accepts as well: the signature is
// that of a key of the issuers, by the algorithm of that key.
func FuzzVerify(f *testing.F) {
	kit := tokentest.NewKit(now)
	f.Add(kit.HS256(kit.Claims()))
	f.Add(kit.RS256(kit.Claims()))
	f.Add(tokentest.Sign("PS384", kit.Private, tokentest.Header("PS384"), kit.Claims().String()))
	for _, b := range kit.Bad() {
		f.Add(b.Raw)
	}
	v := newVerifier(f, now, kit.Issuers()...)
	other := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding())
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := v.Verify(t.Context(), raw)
		if err != nil {
			return
		}
		claims := jwt.MapClaims{}
		if _, err := other.ParseWithClaims(raw, claims, keyOf(kit)); err != nil {
			t.Errorf("accepted, but %v", err)
		}
		if sub, _ := claims.GetSubject(); sub != c.Subject || c.Expires.Before(now) {
			t.Errorf("subject %q is %q to another parser; expires %v", c.Subject, sub, c.Expires)
		}
	})
}

func keyOf(kit *tokentest.Kit) jwt.Keyfunc {
	return func(t *jwt.Token) (any, error) {
		if _, ok := t.Method.(*jwt.SigningMethodHMAC); ok {
			return kit.Secret, nil
		}
		return &kit.Private.PublicKey, nil
	}
}

// Whatever the claims are that an issuer signs, Verify takes no other subject or date than another
// parser reads there.
func FuzzClaims(f *testing.F) {
	kit := tokentest.NewKit(now)
	f.Add(kit.Claims().String())
	f.Add(kit.Claims().And("SUB", `"u2"`).String())
	f.Add(kit.Claims().And("nbf", "1.5e9").And("aud", `["pregon"]`).String())
	f.Add(kit.Claims().With("pregon", `{"subscribe":["a","b"],"publish":[],"info":{"a":[1]}}`).String())
	v := newVerifier(f, now, kit.Issuers()...)
	f.Fuzz(func(t *testing.T, claims string) {
		raw := tokentest.Sign("HS256", kit.Secret, tokentest.Header("HS256"), claims)
		c, err := v.Verify(t.Context(), raw)
		if err != nil {
			return
		}
		var read jwt.RegisteredClaims // by encoding/json, to which SUB is sub
		if _, err := jwt.NewParser(jwt.WithoutClaimsValidation()).ParseWithClaims(raw, &read, keyOf(kit)); err != nil {
			t.Fatalf("accepted, but %v", err)
		}
		if read.Subject != c.Subject || read.Issuer != tokentest.Issuer || read.ExpiresAt.Unix() != c.Expires.Unix() {
			t.Errorf("%+v is %+v to another parser", c, read)
		}
	})
}
