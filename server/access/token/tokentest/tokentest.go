// Package tokentest makes tokens for tests of what takes tokens: good ones, and a table of bad ones
// that every way in must refuse.
package tokentest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pregon/pregon/server/access/token"
)

// What good tokens of a Kit have as iss, aud and sub.
const (
	Issuer   = "https://id.example.com"
	Audience = "pregon"
	Subject  = "u1"
)

// A Kit has the keys of two issuers, and makes tokens as of Now. A token grants everything, unless a
// test says otherwise: one that is accepted by mistake is seen to be.
type Kit struct {
	Secret  []byte          // for HS256
	Private *rsa.PrivateKey // for RS256
	Now     time.Time
}

// NewKit returns a Kit with keys that all Kits of this process share.
func NewKit(now time.Time) *Kit {
	return &Kit{Secret: []byte("for-tests-only-0123456789-abcdefghij"), Private: privateKeys()[0], Now: now}
}

// privateKeys returns the key of Kits, and one that nobody trusts.
var privateKeys = sync.OnceValue(func() []*rsa.PrivateKey {
	keys := make([]*rsa.PrivateKey, 2)
	for i := range keys {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // which crypto/rand does itself
		}
		keys[i] = k
	}
	return keys
})

// Issuers are the two that sign with the keys of the Kit.
func (k *Kit) Issuers() []token.Issuer {
	return []token.Issuer{
		{Secret: k.Secret, Issuer: Issuer, Audience: Audience, Line: 1},
		{PublicKeys: k.PublicPEM(), Issuer: Issuer, Audience: Audience, Line: 2},
	}
}

// PublicPEM is the public key of the Kit, as a file has it.
func (k *Kit) PublicPEM() []byte { return PublicPEM(&k.Private.PublicKey) }

// PublicPEM returns a public key as a file has it.
func PublicPEM(public any) []byte {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(fmt.Sprintf("tokentest: a key of type %T: %v", public, err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// PrivatePEM returns a private key as a file has it.
func PrivatePEM(private any) []byte {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(fmt.Sprintf("tokentest: a key of type %T: %v", private, err))
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Claims are those of a good token, which is valid for an hour.
func (k *Kit) Claims() Object {
	return Object{
		{"sub", Text(Subject)}, {"iss", Text(Issuer)}, {"aud", Text(Audience)},
		{"exp", fmt.Sprint(k.Now.Add(time.Hour).Unix())},
		{"pregon", `{"subscribe":["**"],"publish":["**"]}`},
	}
}

// HS256 returns a token with these claims, signed with the secret.
func (k *Kit) HS256(claims Object) string {
	return Sign("HS256", k.Secret, Header("HS256"), claims.String())
}

// RS256 returns a token with these claims, signed with the private key.
func (k *Kit) RS256(claims Object) string {
	return Sign("RS256", k.Private, Header("RS256"), claims.String())
}

// Header is the usual one.
func Header(alg string) string { return Object{{"alg", Text(alg)}, {"typ", `"JWT"`}}.String() }

// Sign returns a token of any header and payload, signed with alg, whatever the header says.
func Sign(alg string, key any, header, payload string) string {
	return SignParts(alg, key, base64.RawURLEncoding.EncodeToString([]byte(header)), base64.RawURLEncoding.EncodeToString([]byte(payload)))
}

// SignParts is Sign for parts that are encoded, or badly so.
func SignParts(alg string, key any, header, payload string) string {
	signed := header + "." + payload
	signature, err := jwt.GetSigningMethod(alg).Sign(signed, key)
	if err != nil {
		panic(fmt.Sprintf("tokentest: sign with %s: %v", alg, err))
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}
