package token

import (
	"errors"
	"fmt"
	"slices"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// parseJWKS returns the keys of a JSON Web Key Set (RFC 7517, section 5) that verify signatures, and
// how many others there are that were meant to, and are weak, private, symmetric or unreadable.
// No such key at all is an error.
func parseJWKS(body []byte) (keys []key, unusable int, err error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if json.Unmarshal(body, &set) != nil { // whose error may quote the body
		return nil, 0, errors.New("the answer is not a key set")
	}
	if len(set.Keys) > maxKeys {
		return nil, 0, fmt.Errorf("the answer has more than %d keys", maxKeys)
	}
	for _, raw := range set.Keys {
		k, err := parseJWK(raw)
		switch {
		case err == nil:
			keys = append(keys, k)
		case !errors.Is(err, errOtherUse):
			unusable++
		}
	}
	if len(keys) == 0 {
		return nil, unusable, errors.New("the answer has no key that can be used")
	}
	return keys, unusable, nil
}

// errOtherUse means that a key is not for signatures, which is nothing to complain about.
var errOtherUse = errors.New("not for signatures")

// parseJWK returns the key that raw is, for what it may be used (RFC 7517, sections 4.2 to 4.4).
func parseJWK(raw jsontext.Value) (key, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return key{}, ErrKey
	}
	switch {
	case m.USE != "" && m.USE != jwkset.UseSig:
		return key{}, errOtherUse
	case m.KEYOPS != nil && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return key{}, errOtherUse
	case m.KTY == jwkset.KtyOct || m.K != "":
		return key{}, ErrKey // a secret that is published
	case m.D != "" || m.P != "":
		return key{}, ErrPrivateKey // which is anybody's by now
	}
	// Certificates are of no use here, and nothing is to be fetched from where they are.
	m.X5U, m.X5C, m.X5T, m.X5TS256 = "", nil, "", ""
	parsed, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return key{}, ErrKey
	}
	k, err := newKey(parsed.Key())
	if err != nil {
		return key{}, err
	}
	k.kid = m.KID
	return k.only(string(m.ALG))
}

// only returns k for nothing but alg, where that is given.
func (k key) only(alg string) (key, error) {
	switch {
	case alg == "":
		return k, nil
	case !k.fits(alg):
		return key{}, errOtherUse
	}
	k.algs = []string{alg}
	return k, nil
}
