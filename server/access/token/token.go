package token

import (
	"encoding/base64"
	"strings"
)

// maxToken is the longest token, in bytes.
const maxToken = 8 << 10

func checkLength(raw string) error {
	if len(raw) > maxToken {
		return invalid("longer than 8 KiB")
	}
	return nil
}

// A token is what a client sent, read but not believed.
type token struct {
	signed    string // what the signature is of
	signature []byte
	alg, kid  string // kid is empty where there is none
	claims    members
}

// parse reads a JWS in compact form (RFC 7515, section 7.1) whose payload is a set of claims.
// Its length has been checked.
func parse(raw string) (*token, error) {
	header, rest, _ := strings.Cut(raw, ".")
	payload, signature, ok := strings.Cut(rest, ".")
	if !ok || strings.Contains(signature, ".") {
		return nil, invalid("not three parts")
	}
	t := &token{signed: raw[:len(header)+1+len(payload)]}
	if err := t.readHeader(header); err != nil {
		return nil, err
	}
	text, err := decode(payload)
	if err != nil {
		return nil, err
	}
	if t.claims, err = readMembers(text); err != nil {
		return nil, err
	}
	t.signature, err = decode(signature)
	return t, err
}

// refusedHeaders are the members of a header that none of our issuers has a use for: crit asks for
// what is not understood here, and the others would have us fetch a key that the token chooses.
var refusedHeaders = []string{"crit", "jku", "x5u"}

func (t *token) readHeader(part string) error {
	text, err := decode(part)
	if err != nil {
		return err
	}
	header, err := readMembers(text)
	if err != nil {
		return err
	}
	for _, name := range refusedHeaders {
		if _, ok := header[fold(name)]; ok {
			return invalid(name + " in the header")
		}
	}
	var ok bool
	if t.alg, ok, err = header.text("alg"); err != nil || !ok {
		return orInvalid(err, "no alg")
	}
	if t.kid, ok, err = header.text("kid"); err != nil || ok && t.kid == "" {
		return orInvalid(err, "kid is empty")
	}
	_, _, err = header.text("typ")
	return err
}

// decode returns what part is in base64url (RFC 7515, section 2).
func decode(part string) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") { // which the package skips
		return nil, invalid("not base64url")
	}
	return b, nil
}

func orInvalid(err error, reason string) error {
	if err != nil {
		return err
	}
	return invalid(reason)
}
