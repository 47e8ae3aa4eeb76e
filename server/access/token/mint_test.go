package token_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

var draft = token.Draft{
	Subject: "Iñigo <1>", Subscribe: []string{"room.*"}, Publish: []string{"a", "b"}, Info: []byte(`{"n":1e2}`),
	Issued: now, Expires: now.Add(time.Hour), Issuer: tokentest.Issuer, Audience: tokentest.Audience,
}

// What Mint signs, Verify takes, with every kind of key; and it says what it was to say.
func TestMint(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := token.Issuer{Issuer: tokentest.Issuer, Audience: tokentest.Audience}
	with := func(public any) token.Issuer { i := issuer; i.PublicKeys = tokentest.PublicPEM(public); return i }
	secret := issuer
	secret.Secret = kit.Secret
	curves := map[string]*ecdsa.PrivateKey{}
	for name, c := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		curves[name] = newECDSA(t, c)
	}
	sec1, err := x509.MarshalECPrivateKey(curves["ES256"])
	if err != nil {
		t.Fatal(err)
	}
	openssl := slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "EC PARAMETERS", Bytes: []byte{6, 0}}), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	for name, c := range map[string]struct {
		key    []byte
		issuer token.Issuer
	}{
		"HS256":          {kit.Secret, secret},
		"RS256":          {tokentest.PrivatePEM(kit.Private), with(&kit.Private.PublicKey)},
		"RS256, PKCS #1": {pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(kit.Private)}), with(&kit.Private.PublicKey)},
		"ES256":          {tokentest.PrivatePEM(curves["ES256"]), with(&curves["ES256"].PublicKey)},
		"ES384":          {tokentest.PrivatePEM(curves["ES384"]), with(&curves["ES384"].PublicKey)},
		"ES512":          {tokentest.PrivatePEM(curves["ES512"]), with(&curves["ES512"].PublicKey)},
		"ES256, openssl": {openssl, with(&curves["ES256"].PublicKey)},
		"EdDSA":          {tokentest.PrivatePEM(private), with(public)},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := token.Mint(c.key, draft)
			if err != nil {
				t.Fatal(err)
			}
			got, err := newVerifier(t, now, c.issuer).Verify(t.Context(), raw)
			if err != nil {
				t.Fatal(err)
			}
			want := token.Claims{Subject: draft.Subject, Expires: now.Add(time.Hour), Subscribe: draft.Subscribe, Publish: draft.Publish, Info: json.RawMessage(draft.Info), Issuer: got.Issuer, ID: got.ID}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is empty is left out, and the claim is the one that was asked for.
func TestMintLeavesOutWhatIsEmpty(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	raw, err := token.Mint(kit.Secret, token.Draft{})
	if err != nil {
		t.Fatal(err)
	}
	if c, err := newVerifier(t, now, token.Issuer{Secret: kit.Secret, NeverExpires: true}).Verify(t.Context(), raw); err != nil || !cmp.Equal(c, token.Claims{Issuer: c.Issuer, ID: c.ID}) {
		t.Error(c, err)
	}
	refused(t, newVerifier(t, now, token.Issuer{Secret: kit.Secret}), raw, "no exp")

	raw, err = token.Mint(kit.Secret, token.Draft{Claim: "rt", Publish: []string{"a"}, Expires: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	for claim, want := range map[string][]string{"rt": {"a"}, "pregon": nil} {
		c, err := newVerifier(t, now, token.Issuer{Secret: kit.Secret, Claim: claim}).Verify(t.Context(), raw)
		if err != nil || !cmp.Equal(c.Publish, want) {
			t.Error(claim, c.Publish, err)
		}
	}
}

// Mint signs nothing that no server takes, and says why without the key.
func TestMintRefuses(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	private := tokentest.PrivatePEM(kit.Private)
	with := func(change func(*token.Draft)) token.Draft { d := draft; change(&d); return d }
	for name, c := range map[string]struct {
		key   []byte
		draft token.Draft
		is    error
	}{
		"a short secret":          {kit.Secret[:31], draft, token.ErrWeakKey},
		"no secret":               {nil, draft, token.ErrWeakKey},
		"a public key":            {kit.PublicPEM(), draft, token.ErrKey},
		"a damaged private key":   {private[:len(private)/2], draft, token.ErrKey},
		"an encrypted key":        {relabelled(private, "ENCRYPTED PRIVATE KEY"), draft, token.ErrKey},
		"a key of another label":  {relabelled(private, "EC PRIVATE KEY"), draft, token.ErrKey},
		"a newline in sub":        {kit.Secret, with(func(d *token.Draft) { d.Subject = "a\nb" }), token.ErrInvalid},
		"sub that is not UTF-8":   {kit.Secret, with(func(d *token.Draft) { d.Subject = "\xff" }), token.ErrInvalid},
		"256 bytes of sub":        {kit.Secret, with(func(d *token.Draft) { d.Subject = strings.Repeat("a", 256) }), token.ErrInvalid},
		"101 patterns":            {kit.Secret, with(func(d *token.Draft) { d.Publish = make([]string, 100) }), token.ErrInvalid},
		"8 KiB of patterns":       {kit.Secret, with(func(d *token.Draft) { d.Publish = []string{strings.Repeat("a", 8<<10)} }), token.ErrInvalid},
		"info that is no JSON":    {kit.Secret, with(func(d *token.Draft) { d.Info = []byte(`{"a"`) }), token.ErrInvalid},
		"info of two values":      {kit.Secret, with(func(d *token.Draft) { d.Info = []byte(`1 2`) }), token.ErrInvalid},
		"more than 1 KiB of info": {kit.Secret, with(func(d *token.Draft) { d.Info = []byte(`"` + strings.Repeat("a", 1<<10) + `"`) }), token.ErrInvalid},
		"expired":                 {kit.Secret, with(func(d *token.Draft) { d.Expires = now }), token.ErrInvalid},
		"expired before 1970":     {kit.Secret, with(func(d *token.Draft) { d.Expires = time.Unix(-1, 0) }), token.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := token.Mint(c.key, c.draft)
			if !errors.Is(err, c.is) || raw != "" {
				t.Errorf("%q, %v", raw, err)
			}
			if err != nil && (strings.Contains(err.Error(), "MII") || strings.Contains(err.Error(), string(kit.Secret[:8]))) {
				t.Error("it has the key:", err)
			}
		})
	}
}
