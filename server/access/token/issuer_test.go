package token_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// What an operator configures is refused where it is weak, a mistake, or worth nothing, and the error
// says the line and neither key, secret nor URL.
func TestBadIssuers(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	secret, public, private := kit.Secret, kit.PublicPEM(), tokentest.PrivatePEM(kit.Private)
	curve := newECDSA(t, elliptic.P224())
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(kit.Private)})
	even := &rsa.PublicKey{N: kit.Private.N, E: 65536}
	keySet := func(url string) token.Issuer {
		return token.Issuer{JWKS: url, Issuer: tokentest.Issuer, Audience: tokentest.Audience}
	}
	anything := errors.New("any")
	for _, bad := range []struct {
		name   string
		issuer token.Issuer
		is     error
	}{
		{"nothing", token.Issuer{}, anything},
		{"two sources", token.Issuer{Secret: secret, PublicKeys: public}, anything},
		{"an empty secret", token.Issuer{Secret: []byte{}}, token.ErrWeakKey},
		{"31 bytes of secret", token.Issuer{Secret: secret[:31]}, token.ErrWeakKey},
		{"a public key as a secret", token.Issuer{Secret: public}, token.ErrKey},
		{"a private key as a secret", token.Issuer{Secret: private}, token.ErrKey},
		{"a secret as a public key", token.Issuer{PublicKeys: secret}, token.ErrKey},
		{"an empty file", token.Issuer{PublicKeys: []byte{}}, token.ErrKey},
		{"a private key", token.Issuer{PublicKeys: private}, token.ErrPrivateKey},
		{"a private key of RSA", token.Issuer{PublicKeys: pkcs1}, token.ErrPrivateKey},
		{"a private key behind a public one", token.Issuer{PublicKeys: slices.Concat(public, private)}, token.ErrPrivateKey},
		{"an encrypted private key", token.Issuer{PublicKeys: relabelled(private, "ENCRYPTED PRIVATE KEY")}, token.ErrPrivateKey},
		{"a certificate", token.Issuer{PublicKeys: relabelled(public, "CERTIFICATE")}, token.ErrKey},
		{"PEM of something", token.Issuer{PublicKeys: relabelled(public, "PARAMETERS")}, token.ErrKey},
		{"PEM of another kind of key", token.Issuer{PublicKeys: relabelled(public, "RSA PUBLIC KEY")}, token.ErrKey},
		{"a damaged key ahead of a good one", token.Issuer{PublicKeys: slices.Concat(public[:len(public)/2], []byte("\n"), public)}, token.ErrKey},
		{"a damaged key behind a good one", token.Issuer{PublicKeys: slices.Concat(public, public[:len(public)/2])}, token.ErrKey},
		{"1,024 bits of RSA", token.Issuer{PublicKeys: tokentest.PublicPEM(rsaOf(1024))}, token.ErrWeakKey},
		{"2,047 bits of RSA", token.Issuer{PublicKeys: tokentest.PublicPEM(rsaOf(2047))}, token.ErrWeakKey},
		{"16,384 bits of RSA", token.Issuer{PublicKeys: tokentest.PublicPEM(rsaOf(16384))}, token.ErrKey},
		{"an even exponent", token.Issuer{PublicKeys: tokentest.PublicPEM(even)}, token.ErrWeakKey},
		{"exponent 1", token.Issuer{PublicKeys: tokentest.PublicPEM(&rsa.PublicKey{N: kit.Private.N, E: 1})}, token.ErrWeakKey},
		{"another curve", token.Issuer{PublicKeys: tokentest.PublicPEM(&curve.PublicKey)}, token.ErrKey},
		{"a claim with another meaning", token.Issuer{Secret: secret, Claim: "sub"}, anything},
		{"a negative age", token.Issuer{Secret: secret, MaxAge: -time.Second}, anything},
		{"a JWKS without an issuer", token.Issuer{JWKS: "https://id.example.com/canary", Audience: "a"}, anything},
		{"a JWKS without an audience", token.Issuer{JWKS: "https://id.example.com/canary", Issuer: "a"}, anything},
		{"a JWKS in the clear", keySet("http://id.example.com/canary"), anything},
		{"a JWKS on what begins like this machine", keySet("http://localhost.example.com/canary"), anything},
		{"a JWKS on all addresses", keySet("http://0.0.0.0/canary"), anything},
		{"a JWKS in a file", keySet("file:///canary"), anything},
		{"a JWKS that is a path", keySet("canary/jwks.json"), anything},
		{"a JWKS with a bad escape", keySet("https://id.example.com/%zzcanary"), anything},
		{"a JWKS with a fragment", keySet("https://id.example.com/#canary"), anything},
		{"a JWKS without a host", keySet("https:///canary"), anything},
		{"a JWKS without Keysets", keySet("https://id.example.com/canary"), anything},
	} {
		t.Run(bad.name, func(t *testing.T) {
			bad.issuer.Line = 42
			_, err := token.New([]token.Issuer{bad.issuer}, token.Options{})
			var of *token.IssuerError
			if !errors.As(err, &of) || of.Line != 42 || !strings.Contains(err.Error(), "line 42") {
				t.Fatal(err)
			}
			if bad.is != anything && !errors.Is(err, bad.is) {
				t.Errorf("%v is not %v", err, bad.is)
			}
			for _, secret := range []string{"canary", string(secret[:8]), "MII"} {
				if strings.Contains(err.Error(), secret) {
					t.Error("it has the input:", err)
				}
			}
		})
	}
}

// relabelled returns PEM with another label.
func relabelled(data []byte, label string) []byte {
	b, _ := pem.Decode(data)
	b.Type = label
	return pem.EncodeToMemory(b)
}

// rsaOf returns a public key of that many bits, which nobody has the private one of.
func rsaOf(bits int) *rsa.PublicKey {
	n := new(big.Int).Lsh(big.NewInt(1), uint(bits-1))
	return &rsa.PublicKey{N: n.Add(n, big.NewInt(1)), E: 65537}
}

// A file may have several keys, of several kinds, with notes between them; each counts for its own
// algorithms.
func TestSeveralKeysInAFile(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	curve := newECDSA(t, elliptic.P256())
	pkcs1 := pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: x509.MarshalPKCS1PublicKey(&kit.Private.PublicKey)})
	file := slices.Concat([]byte("the old one\n"), tokentest.PublicPEM(&newECDSA(t, elliptic.P256()).PublicKey),
		[]byte("\nthe new one\n"), tokentest.PublicPEM(&curve.PublicKey), pkcs1, []byte("\n\n"))
	v := newVerifier(t, now, token.Issuer{PublicKeys: file})
	claims := kit.Claims().String()
	for alg, key := range map[string]any{"ES256": curve, "RS512": kit.Private, "PS256": kit.Private} {
		if _, err := v.Verify(t.Context(), tokentest.Sign(alg, key, tokentest.Header(alg), claims)); err != nil {
			t.Error(alg, err)
		}
	}
	refused(t, v, tokentest.Sign("HS256", file, tokentest.Header("HS256"), claims), "no issuer has such a key")
	foreign, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, v, tokentest.Sign("ES256", foreign, tokentest.Header("ES256"), claims), "wrong signature")
}

// A key set may be on this machine without TLS.
func TestKeySetOnThisMachine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		keysets := token.NewKeysets(token.KeysetsOptions{Transport: &site{answer: down}})
		defer keysets.Close()
		for _, url := range []string{"http://localhost:8080/jwks", "http://127.0.0.1/jwks", "http://127.1.2.3/jwks", "http://[::1]:80/jwks", "https://id.example.com"} {
			_, err := token.New([]token.Issuer{{JWKS: url, Issuer: "a", Audience: "b"}}, token.Options{Keysets: keysets})
			if err != nil {
				t.Error(url, err)
			}
		}
	})
}

// The secret belongs to the Verifier: what the caller does with its own copy changes nothing.
func TestSecretIsCopied(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	raw := kit.HS256(kit.Claims())
	secret := slices.Clone(kit.Secret)
	v := newVerifier(t, now, token.Issuer{Secret: secret})
	clear(secret)
	if _, err := v.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
}
