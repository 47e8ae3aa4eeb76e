package token_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// rsaJWK and ecJWK return public keys as a JWK has them (RFC 7518, sections 6.2 and 6.3).

func rsaJWK(k *rsa.PublicKey) tokentest.Object {
	return tokentest.Object{{"kty", `"RSA"`}, {"n", number(k.N.Bytes())}, {"e", number(big.NewInt(int64(k.E)).Bytes())}}
}

func ecJWK(t *testing.T, k *ecdsa.PublicKey) tokentest.Object {
	t.Helper()
	point, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := point[1:1+len(point)/2], point[1+len(point)/2:]
	return tokentest.Object{{"kty", `"EC"`}, {"crv", tokentest.Text(k.Params().Name)}, {"x", number(x)}, {"y", number(y)}}
}

func number(b []byte) string { return tokentest.Text(base64.RawURLEncoding.EncodeToString(b)) }

// signedWithin returns a token that a key with kid signs.
func signedWithin(kid, alg string, key any) string { return signedAs(kid, alg, alg, key) }

// signedAs is signedWithin for a token that says it was signed with another algorithm.
func signedAs(kid, said, alg string, key any) string {
	header := tokentest.Object{{"alg", tokentest.Text(said)}, {"kid", tokentest.Text(kid)}}
	return tokentest.Sign(alg, key, header.String(), tokentest.NewKit(time.Now()).Claims().String())
}

// A key set has keys of every kind, each for its own algorithms, or for the one that it names.
func TestKeysOfASet(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		kit := tokentest.NewKit(time.Now())
		_, edwards, _ := ed25519.GenerateKey(rand.Reader)
		curve, narrow := newECDSA(t, elliptic.P384()), newECDSA(t, elliptic.P256())
		public := rsaJWK(&kit.Private.PublicKey)
		s.answers(says(200, keySet(
			public.With("kid", `"rsa"`).With("use", `"sig"`).With("x5u", `"https://evil.example/cert"`).With("x5c", `["AAAA"]`).String(),
			public.With("kid", `"pss"`).With("alg", `"PS256"`).With("key_ops", `["verify"]`).String(),
			ecJWK(t, &curve.PublicKey).With("kid", `"ec"`).String(),
			ecJWK(t, &narrow.PublicKey).With("kid", `"two"`).String(),
			jwk("two", edwards),
			jwk("", edwards),
		)))
		v := s.verifier()
		time.Sleep(time.Second)
		for _, c := range []struct {
			kid, alg string
			key      any
			good     bool
		}{
			{"rsa", "RS256", kit.Private, true},
			{"rsa", "PS512", kit.Private, true},
			{"pss", "PS256", kit.Private, true},
			{"ec", "ES384", curve, true},
			{"two", "ES256", narrow, true},
			{"two", "EdDSA", edwards, true},
			{"pss", "RS256", kit.Private, false},
			{"rsa", "HS256", []byte(public.String()), false},
			{"ec", "ES256", narrow, false},
			{"none", "EdDSA", edwards, false},
		} {
			if _, err := v.Verify(t.Context(), signedWithin(c.kid, c.alg, c.key)); (err == nil) != c.good {
				t.Error(c.kid, c.alg, err)
			}
		}
		s.keysets.Close()
		if s.log.Len() > 0 {
			t.Error("the log has", s.log.String())
		}
	})
}

// A key that is weak, secret or not for signatures does not count, and takes no other key with it. The
// operator is told once of those that were meant to count.
func TestKeysThatAreLeftOut(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(now)
	public := rsaJWK(&kit.Private.PublicKey).With("kid", `"left-out"`)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte(strings.Repeat("a", 32))
	curve := newECDSA(t, elliptic.P256())
	for name, c := range map[string]struct {
		jwk  tokentest.Object
		alg  string
		key  any
		told bool
	}{
		"for encryption":            {public.With("use", `"enc"`), "RS256", kit.Private, false},
		"to sign with":              {public.With("key_ops", `["sign"]`), "RS256", kit.Private, false},
		"for nothing":               {public.With("key_ops", `[]`), "RS256", kit.Private, false},
		"of an algorithm of others": {public.With("alg", `"RSA-OAEP"`), "RS256", kit.Private, false},
		"of HS256":                  {public.With("alg", `"HS256"`), "RS256", kit.Private, false},
		"of another use":            {public.With("use", `"SIG"`), "RS256", kit.Private, false},
		"1,024 bits":                {rsaJWK(&weak.PublicKey).With("kid", `"left-out"`), "RS256", weak, true},
		"a secret":                  {tokentest.Object{{"kty", `"oct"`}, {"k", number(secret)}, {"kid", `"left-out"`}, {"alg", `"HS256"`}}, "HS256", secret, true},
		"a secret beside a key":     {public.With("k", number(secret)), "RS256", kit.Private, true},
		"a private key":             {public.With("d", number(kit.Private.D.Bytes())), "RS256", kit.Private, true},
		"a kind of key in capitals": {public.With("kty", `"rsa"`), "RS256", kit.Private, true},
		"a member in capitals":      {public.Without("n").With("N", number(kit.Private.N.Bytes())), "RS256", kit.Private, true},
		"a kid that is a number":    {public.With("kid", "1"), "RS256", kit.Private, true},
		"exponent 2^64 + 65537":     {public.With("e", number([]byte{1, 0, 0, 0, 0, 0, 1, 0, 1})), "RS256", kit.Private, true},
		"not on its curve":          {ecJWK(t, &curve.PublicKey).With("x", number(secret)).With("kid", `"left-out"`), "ES256", curve, true},
		"of another curve":          {ecJWK(t, &curve.PublicKey).With("crv", `"P-521"`).With("kid", `"left-out"`), "ES256", curve, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visit(t, func(t *testing.T, s *site) {
				s.rotate("a")
				s.answers(says(200, keySet(c.jwk.String(), jwk("a", s.private["a"]))))
				v := s.verifier()
				time.Sleep(time.Hour)
				accepted(t, v, s.token("a"))
				for _, said := range []string{c.alg, "HS256", "RSA-OAEP"} {
					if _, err := v.Verify(t.Context(), signedAs("left-out", said, c.alg, c.key)); err == nil {
						t.Error("it counts for", said)
					}
				}
				s.keysets.Close()
				want := 0
				if c.told {
					want = 1
				}
				if n := strings.Count(s.log.String(), "keys that are not used"); n != want {
					t.Errorf("%d lines, want %d:\n%s", n, want, s.log.String())
				}
			})
		})
	}
}

// Through the network: a key set is fetched by TLS from a server that the system trusts, and from no
// other; on this machine without TLS, too.
func TestFetchThroughTheNetwork(t *testing.T) {
	if _, err := x509.SystemCertPool(); err != nil { // once, and not in the time that a fetch has
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			http.Redirect(w, r, "/", http.StatusFound)
			return
		}
		_, _ = w.Write([]byte(keySet(jwk("a", private))))
	})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer plain.Close()
	defer secure.Close()
	for _, c := range []struct {
		name, url string
		transport http.RoundTripper
		fails     string // why, as the log is told
	}{
		{"on this machine", plain.URL, nil, ""},
		{"by TLS", secure.URL, secure.Client().Transport, ""},
		{"by TLS, of nobody", secure.URL, nil, "certificate"},
		{"from elsewhere", plain.URL + "/elsewhere", nil, "the answer is 302"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			lines := make(chan string, 1) // the first is of the failure
			logger := slog.New(slog.NewTextHandler(writer(func(line string) { lines <- line; cancel() }), nil))
			keysets := token.NewKeysets(token.KeysetsOptions{Transport: c.transport, Logger: logger})
			defer keysets.Close()
			v, err := token.New([]token.Issuer{{JWKS: c.url, Issuer: tokentest.Issuer, Audience: tokentest.Audience}}, token.Options{Keysets: keysets})
			if err != nil {
				t.Fatal(err)
			}
			if _, err = v.Verify(ctx, signedBy("a", private)); (err == nil) != (c.fails == "") {
				t.Fatal(err)
			}
			if c.fails == "" {
				return
			}
			if line := <-lines; !strings.Contains(line, c.fails) {
				t.Error("the log has", line)
			}
		})
	}
}

// A writer is given lines of a log.
type writer func(line string)

func (w writer) Write(line []byte) (int, error) { w(string(line)); return len(line), nil }
