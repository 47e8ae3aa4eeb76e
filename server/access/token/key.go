package token

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// Sizes of keys. RFC 7518, section 3.2, asks for a secret as long as the hash, so for more with HS384 and
// HS512; 32 bytes cannot be guessed with any of them. An RSA key that is too long makes every token
// expensive, wrong ones included.
const (
	minSecret = 32   // bytes
	minRSA    = 2048 // bits (RFC 7518, section 3.3)
	maxRSA    = 8192
)

// maxKeys is how many keys an issuer has at most.
const maxKeys = 100

// Algorithms (RFC 7518, section 3.1; RFC 8037, section 3.1), the usual one of a kind first.
var (
	hmacAlgs   = []string{"HS256", "HS384", "HS512"}
	rsaAlgs    = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
	curveAlgs  = map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
	asymmetric = slices.Concat(rsaAlgs, []string{"ES256", "ES384", "ES512", "EdDSA"})
)

// A key verifies signatures.
type key struct {
	public any      // as golang-jwt takes it: a secret, too
	algs   []string // with which it may be used; the first one is the usual one
	kid    string   // empty where it has none
	print  Fingerprint
}

func (k key) fits(alg string) bool { return slices.Contains(k.algs, alg) }

// verifies reports whether the key signed t, whose algorithm fits.
func (k key) verifies(t *token) bool {
	return jwt.GetSigningMethod(t.alg).Verify(t.signed, t.signature, k.public) == nil
}

// bytes returns what a key is, whatever file it is from.
func (k key) bytes() []byte {
	if secret, ok := k.public.([]byte); ok {
		return secret
	}
	der, _ := x509.MarshalPKIXPublicKey(k.public) // which knows all kinds that newKey takes
	return der
}

// newKey returns the key that public is. Its type decides the algorithms (RFC 8725, section 3.1).
func newKey(public any) (key, error) {
	switch p := public.(type) {
	case *rsa.PublicKey:
		return rsaKey(p)
	case *ecdsa.PublicKey:
		return ecdsaKey(p)
	case ed25519.PublicKey:
		return key{public: p, algs: []string{"EdDSA"}}, nil
	}
	return key{}, fmt.Errorf("%w: keys are of RSA, of an elliptic curve, or Ed25519", ErrKey)
}

func rsaKey(p *rsa.PublicKey) (key, error) {
	switch bits := p.N.BitLen(); {
	case bits < minRSA:
		return key{}, fmt.Errorf("an RSA key of %d bits: %w: at least %d", bits, ErrWeakKey, minRSA)
	case bits > maxRSA:
		return key{}, fmt.Errorf("%w: an RSA key of %d bits: at most %d", ErrKey, bits, maxRSA)
	case p.E < 3 || p.E%2 == 0:
		return key{}, fmt.Errorf("an RSA key with exponent %d: %w", p.E, ErrWeakKey)
	}
	return key{public: p, algs: rsaAlgs}, nil
}

// ecdsaKey ties the algorithm to the curve (RFC 7518, section 3.4).
func ecdsaKey(p *ecdsa.PublicKey) (key, error) {
	alg, ok := curveAlgs[p.Params().Name]
	if !ok {
		return key{}, fmt.Errorf("%w: the curves are P-256, P-384 and P-521", ErrKey)
	}
	return key{public: p, algs: []string{alg}}, nil
}

// secretKey returns the key that a secret is.
func secretKey(secret []byte) (key, error) {
	switch {
	case isPEM(secret):
		return key{}, fmt.Errorf("%w: PEM is no secret", ErrKey)
	case len(secret) < minSecret:
		return key{}, fmt.Errorf("a secret of %d bytes: %w: at least %d", len(secret), ErrWeakKey, minSecret)
	}
	return key{public: slices.Clone(secret), algs: hmacAlgs}, nil
}

// isPEM reports whether data was meant to be PEM, whole or damaged.
func isPEM(data []byte) bool { return bytes.Contains(data, []byte(pemBegin)) }

const pemBegin = "-----BEGIN "

// publicKeys returns the keys of a PEM file (RFC 7468).
func publicKeys(data []byte) ([]key, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, err
	}
	var keys []key
	for _, b := range blocks {
		public, err := publicKey(b)
		if err != nil {
			return nil, err
		}
		k, err := newKey(public)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// pemBlocks returns the blocks of a PEM file. Package pem skips a damaged one, which then would be
// missing without a word.
func pemBlocks(data []byte) ([]*pem.Block, error) {
	var blocks []*pem.Block
	for rest := data; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	switch {
	case len(blocks) == 0 || bytes.Count(data, []byte(pemBegin)) != len(blocks):
		return nil, fmt.Errorf("%w: the PEM is damaged, or there is none", ErrKey)
	case len(blocks) > maxKeys:
		return nil, fmt.Errorf("%w: more than %d keys", ErrKey, maxKeys)
	}
	return blocks, nil
}

func publicKey(b *pem.Block) (public any, err error) {
	switch {
	case strings.HasSuffix(b.Type, "PRIVATE KEY"):
		return nil, ErrPrivateKey
	case b.Type == "CERTIFICATE":
		return nil, fmt.Errorf("%w: give the public key of the certificate (openssl x509 -pubkey -noout)", ErrKey)
	case b.Type == "PUBLIC KEY":
		public, err = x509.ParsePKIXPublicKey(b.Bytes)
	case b.Type == "RSA PUBLIC KEY":
		public, err = x509.ParsePKCS1PublicKey(b.Bytes)
	default:
		err = errors.ErrUnsupported
	}
	if err != nil { // which may quote what it read
		return nil, fmt.Errorf("%w: a PEM block that is no public key", ErrKey)
	}
	return public, nil
}

// privateKey returns the private key of a PEM file, and what verifies its signatures.
func privateKey(data []byte) (crypto.Signer, key, error) {
	blocks, err := pemBlocks(data)
	if err != nil {
		return nil, key{}, err
	}
	b := blocks[len(blocks)-1] // openssl writes the parameters of the curve ahead of the key
	var private any
	switch b.Type {
	case "PRIVATE KEY":
		private, err = x509.ParsePKCS8PrivateKey(b.Bytes)
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(b.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(b.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, key{}, fmt.Errorf("%w: the private key is encrypted", ErrKey)
	}
	signer, ok := private.(crypto.Signer)
	if err != nil || !ok {
		return nil, key{}, fmt.Errorf("%w: the PEM is no private key that can sign", ErrKey)
	}
	k, err := newKey(signer.Public())
	return signer, k, err
}
