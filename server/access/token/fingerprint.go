package token

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// A Fingerprint stands for what made a token valid: a secret or a public key, or the URL of a key set,
// with the iss and aud that its Issuer asks for and the claim that it reads. It is the same wherever
// that stands in a configuration, and whatever keys are added to it. It is not for others to see: a
// secret that can be guessed can be told from it.
type Fingerprint [sha256.Size]byte

// fingerprint returns that of a source of i. Each part has its length before it, so that none runs into
// the next.
func (i *Issuer) fingerprint(kind string, source []byte) (f Fingerprint) {
	h := sha256.New()
	for _, part := range [][]byte{[]byte(kind), source, []byte(i.Issuer), []byte(i.Audience), []byte(i.Claim)} {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write(part)
	}
	h.Sum(f[:0])
	return f
}

// printOf returns the Fingerprint of a key of i. Those of a key set come and go, and share one.
func (i *issuer) printOf(k key) Fingerprint {
	if i.set != nil {
		return i.print
	}
	return k.print
}

// Trusts reports whether what a Fingerprint stands for is among the issuers of the Verifier: so
// whether a token that was valid when it came still is, but for its dates and the keys of a key set.
func (v *Verifier) Trusts(f Fingerprint) bool {
	return slices.ContainsFunc(v.issuers, func(i *issuer) bool {
		return i.set != nil && i.print == f || slices.ContainsFunc(i.keys, func(k key) bool { return k.print == f })
	})
}
