package tokentest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
)

// A Bad is a token that must be refused, and the reason that the log is given.
type Bad struct {
	Name   string
	Raw    string
	Reason string
}

// Bad returns tokens that the issuers of the Kit must refuse at Now. Each is bad for one reason: in all
// else it is as a good one. Some have characters that cannot stand in a header of HTTP.
func (k *Kit) Bad() []Bad {
	return slices.Concat(k.badForm(), k.badJSON(), k.badAlgorithm(), k.badHeader(), k.badDates(), k.badParties(), k.badSubject(), k.badGrants())
}

// signed returns bad tokens that are what the secret signs of an issuer that errs.
func (k *Kit) signed(reason string, bad map[string]Object) []Bad {
	var list []Bad
	for name, claims := range bad {
		list = append(list, Bad{name, k.HS256(claims), reason})
	}
	slices.SortFunc(list, func(a, b Bad) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

func (k *Kit) badForm() []Bad {
	good := k.HS256(k.Claims())
	header, rest, _ := strings.Cut(good, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	long := k.Claims().With("long", Text(strings.Repeat("a", 6<<10)))
	return []Bad{
		{"nothing", "", "not three parts"},
		{"one part", header, "not three parts"},
		{"two parts", header + "." + payload, "not three parts"},
		{"four parts", good + "." + signature, "not three parts"},
		{"five parts, as if encrypted", good + ".a.b", "not three parts"},
		{"only dots", "..", "not a JSON object"},
		{"no signature", header + "." + payload + ".", "wrong signature"},
		{"signature cut", good[:len(good)-3], "wrong signature"},
		{"signature of other claims", header + "." + payload + k.HS256(k.Claims().With("sub", `"u2"`))[len(header)+1+len(payload):], "wrong signature"},
		{"signature padded", good + "=", "not base64url"},
		{"header padded", SignParts("HS256", k.Secret, padded(header), payload), "not base64url"},
		{"payload padded", SignParts("HS256", k.Secret, header, padded(payload)), "not base64url"},
		{"payload in standard base64", SignParts("HS256", k.Secret, header, base64.RawStdEncoding.EncodeToString([]byte(k.Claims().And("a", `"?>?>?>"`).String()))), "not base64url"},
		{"newline in the payload", SignParts("HS256", k.Secret, header, payload[:8]+"\n"+payload[8:]), "not base64url"},
		{"newline at the end", good + "\n", "not base64url"},
		{"space ahead", " " + good, "not base64url"},
		{"trailing bits in the signature", good[:len(good)-1] + string(next(good[len(good)-1])), "not base64url"},
		{"longer than 8 KiB", k.HS256(long), "longer than 8 KiB"},
		{"64 KiB", k.HS256(k.Claims().With("long", Text(strings.Repeat("a", 48<<10)))), "longer than 8 KiB"},
	}
}

// padded returns part with the bytes that make its length a multiple of four; at least one.
func padded(part string) string { return part + strings.Repeat("=", 4-len(part)%4) }

// next returns the digit of base64url that is one more: a reader that ignores trailing bits takes both
// for the same.
func next(digit byte) byte {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return digits[strings.IndexByte(digits, digit)+1]
}

func (k *Kit) badJSON() []Bad {
	payload := func(text string) string { return Sign("HS256", k.Secret, Header("HS256"), text) }
	header := func(text string) string { return Sign("HS256", k.Secret, text, k.Claims().String()) }
	claims := k.Claims().String()
	return []Bad{
		{"no claims", payload(""), "not a JSON object"},
		{"claims are a list", payload("[" + claims + "]"), "not a JSON object"},
		{"claims are a string", payload(`"sub"`), "not a JSON object"},
		{"claims are null", payload("null"), "not a JSON object"},
		{"claims cut", payload(claims[:len(claims)-1]), "not valid JSON"},
		{"data behind the claims", payload(claims + claims), "not valid JSON"},
		{"comma behind the claims", payload(claims[:len(claims)-1] + ",}"), "not valid JSON"},
		{"comment in the claims", payload(strings.Replace(claims, ",", ",/**/", 1)), "not valid JSON"},
		{"byte order mark", payload("\ufeff" + claims), "not a JSON object"},
		{"claims not UTF-8", payload(k.Claims().And("a", "\"\xff\"").String()), "not valid JSON"},
		{"half a surrogate", payload(k.Claims().With("sub", `"\ud800"`).String()), "not valid JSON"},
		{"NaN", payload(k.Claims().With("exp", "NaN").String()), "not valid JSON"},
		{"header is a list", header("[]"), "not a JSON object"},
		{"data behind the header", header(Header("HS256") + "{}"), "not valid JSON"},
		{"header is no JSON", header("HS256"), "not a JSON object"},
		{"sub twice", payload(k.Claims().And("sub", `"u2"`).String()), "a member comes twice"},
		{"sub and SUB", payload(k.Claims().And("SUB", `"u2"`).String()), "a member comes twice"},
		{"SUB ahead of sub", payload(append(Object{{"SUB", `"u2"`}}, k.Claims()...).String()), "a member comes twice"},
		{"sub with an escape", payload(k.Claims().And(`s\u0075b`, `"u2"`).String()), "a member comes twice"},
		{"sub and ſub", payload(k.Claims().And("ſub", `"u2"`).String()), "a member comes twice"},
		{"exp and Exp", payload(k.Claims().And("Exp", "9e9").String()), "a member comes twice"},
		{"grants twice", payload(k.Claims().And("pregon", `{}`).String()), "a member comes twice"},
		{"grants in two cases", payload(k.Claims().And("Pregon", `{}`).String()), "a member comes twice"},
		{"another claim twice", payload(k.Claims().And("a", "1").And("A", "2").String()), "a member comes twice"},
		{"a member of a member twice", payload(k.Claims().And("a", `{"b":1,"b":2}`).String()), "a member comes twice"},
		{"SUB alone", payload(k.Claims().Without("sub").And("SUB", `"u1"`).String()), "a member in another case"},
		{"EXP alone", payload(k.Claims().Without("exp").And("EXP", "9e9").String()), "a member in another case"},
		{"alg twice", header(`{"alg":"HS256","alg":"HS256"}`), "a member comes twice"},
		{"alg and ALG", header(`{"alg":"HS256","ALG":"none"}`), "a member comes twice"},
		{"ALG alone", header(`{"ALG":"HS256"}`), "a member in another case"},
	}
}

func (k *Kit) badAlgorithm() []Bad {
	claims := k.Claims().String()
	foreign := privateKeys()[1]
	public := &k.Private.PublicKey
	der, _ := x509.MarshalPKIXPublicKey(public)
	none := func(alg string) string {
		return strings.Join([]string{encoded(Header(alg)), encoded(claims), ""}, ".")
	}
	curve, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	const noKey, wrong = "no issuer has such a key", "wrong signature"
	return []Bad{
		{"alg none", none("none"), noKey},
		{"alg None", none("None"), noKey},
		{"alg nOnE", none("nOnE"), noKey},
		{"alg none, signed", Sign("HS256", k.Secret, Header("none"), claims), noKey},
		{"alg hs256", Sign("HS256", k.Secret, Header("hs256"), claims), noKey},
		{"alg empty", Sign("HS256", k.Secret, Header(""), claims), noKey},
		{"no alg", Sign("HS256", k.Secret, `{"typ":"JWT"}`, claims), "no alg"},
		{"alg is a number", Sign("HS256", k.Secret, `{"alg":256}`, claims), "alg is not a string"},
		{"alg is a list", Sign("HS256", k.Secret, `{"alg":["HS256"]}`, claims), "alg is not a string"},
		{"HS256 with the public key in PEM", Sign("HS256", PublicPEM(public), Header("HS256"), claims), wrong},
		{"HS256 with the public key in DER", Sign("HS256", der, Header("HS256"), claims), wrong},
		{"HS256 with the modulus", Sign("HS256", public.N.Bytes(), Header("HS256"), claims), wrong},
		{"HS256 with an empty secret", Sign("HS256", []byte{}, Header("HS256"), claims), wrong},
		{"HS256 with another secret", Sign("HS256", []byte("another secret of 32 bytes or more"), Header("HS256"), claims), wrong},
		{"HS512, signed as HS256", Sign("HS256", k.Secret, Header("HS512"), claims), wrong},
		{"RS256 with another key", Sign("RS256", foreign, Header("RS256"), claims), wrong},
		{"RS256, signed as PS256", Sign("PS256", k.Private, Header("RS256"), claims), wrong},
		{"RS256, signed with the secret", Sign("HS256", k.Secret, Header("RS256"), claims), wrong},
		{"its own key in the header", Sign("RS256", foreign, Object{{"alg", `"RS256"`}, {"jwk", jwk(&foreign.PublicKey)}}.String(), claims), wrong},
		{"ES256 of nobody", Sign("ES256", curve, Header("ES256"), claims), noKey},
		{"ES256 of zeros", encoded(Header("ES256")) + "." + encoded(claims) + "." + encoded(strings.Repeat("\x00", 64)), noKey},
		{"EdDSA of nobody", Sign("EdDSA", edwards, Header("EdDSA"), claims), noKey},
	}
}

func encoded(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// jwk returns a public key as a JWK has it.
func jwk(public *rsa.PublicKey) string {
	return Object{{"kty", `"RSA"`}, {"e", `"AQAB"`}, {"n", Text(base64.RawURLEncoding.EncodeToString(public.N.Bytes()))}}.String()
}

func (k *Kit) badHeader() []Bad {
	with := func(name, json string) string {
		return Sign("HS256", k.Secret, Object{{"alg", `"HS256"`}, {name, json}}.String(), k.Claims().String())
	}
	return []Bad{
		{"crit", with("crit", `["exp"]`), "crit in the header"},
		{"crit, empty", with("crit", `[]`), "crit in the header"},
		{"crit for an unencoded payload", Sign("HS256", k.Secret, `{"alg":"HS256","b64":false,"crit":["b64"]}`, k.Claims().String()), "crit in the header"},
		{"CRIT", with("CRIT", `["exp"]`), "crit in the header"},
		{"jku", with("jku", `"https://evil.example/jwks.json"`), "jku in the header"},
		{"x5u", with("x5u", `"https://evil.example/cert.pem"`), "x5u in the header"},
		{"kid is a number", with("kid", "1"), "kid is not a string"},
		{"kid is empty", with("kid", `""`), "kid is empty"},
		{"kid is an object", with("kid", `{"a":"b"}`), "kid is not a string"},
		{"typ is a list", with("typ", `["JWT"]`), "typ is not a string"},
	}
}
