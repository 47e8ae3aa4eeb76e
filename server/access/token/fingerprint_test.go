package token_test

import (
	"crypto/elliptic"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// A Verifier trusts the issuers it has: the same again, wherever they stand in a file, and none
// that takes other tokens.
func TestTrusts(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	raw, err := token.Mint(kit.Secret, token.Draft{Expires: now.Add(time.Minute), Issuer: "a", Audience: "b"})
	if err != nil {
		t.Fatal(err)
	}
	c, err := newVerifier(t, now, token.Issuer{Secret: kit.Secret, Issuer: "a"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []struct {
		issuer token.Issuer
		trusts bool
	}{
		{token.Issuer{Secret: kit.Secret, Issuer: "a", Line: 7, MaxAge: time.Hour}, true},
		{token.Issuer{Secret: kit.Secret, Issuer: "b"}, false},
		{token.Issuer{Secret: kit.Secret, Audience: "a"}, false},
		{token.Issuer{Secret: append([]byte("x"), kit.Secret...), Issuer: "a"}, false},
		{token.Issuer{Secret: kit.Secret, Issuer: "a", Claim: "c"}, false},
	} {
		if got := newVerifier(t, now, other.issuer).Trusts(c.Issuer); got != other.trusts {
			t.Errorf("%v: %v", other.issuer.Line, got)
		}
	}
}

// A key counts as long as it is in the file, whatever other keys are.
func TestTrustsKeysOneByOne(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	other := tokentest.PublicPEM(&newECDSA(t, elliptic.P256()).PublicKey)
	c, err := newVerifier(t, now, token.Issuer{PublicKeys: kit.PublicPEM()}).Verify(t.Context(), kit.RS256(kit.Claims()))
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&kit.Private.PublicKey)})
	for _, with := range []struct {
		name   string
		issuer token.Issuer
		trusts bool
	}{
		{"another key", token.Issuer{PublicKeys: slices.Concat(other, kit.PublicPEM())}, true},
		{"notes and another form", token.Issuer{PublicKeys: slices.Concat([]byte("the key\n"), pkcs1)}, true},
		{"another key instead", token.Issuer{PublicKeys: other}, false},
		{"an issuer", token.Issuer{PublicKeys: kit.PublicPEM(), Issuer: tokentest.Issuer}, false},
		{"a secret of the same bytes", token.Issuer{Secret: x509.MarshalPKCS1PublicKey(&kit.Private.PublicKey)}, false},
	} {
		if got := newVerifier(t, now, with.issuer).Trusts(c.Issuer); got != with.trusts {
			t.Errorf("with %s: %v", with.name, got)
		}
	}
}

// A key set counts by its URL: its keys come and go.
func TestTrustsAKeySet(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		c, err := s.verifier().Verify(t.Context(), s.token("a"))
		if err != nil {
			t.Fatal(err)
		}
		s.rotate("b")
		if !s.verifier().Trusts(c.Issuer) {
			t.Error("not behind the same URL")
		}
		other := jwksIssuer
		other.JWKS += "&"
		v, err := token.New([]token.Issuer{other}, token.Options{Keysets: s.keysets})
		if err != nil {
			t.Fatal(err)
		}
		if v.Trusts(c.Issuer) {
			t.Error("behind another URL")
		}
	})
}
