package token_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

const jwksURL = "https://user:pa55@id.example.com/jwks.json?code=s3cret"

// A site is the web site of an issuer: keys behind a URL, and what becomes of requests for them.
type site struct {
	t       *testing.T
	keysets *token.Keysets
	log     bytes.Buffer // to be read when nothing runs

	mu      sync.Mutex
	private map[string]ed25519.PrivateKey // by kid
	answer  func(r *http.Request) (*http.Response, error)
	asked   int
}

// visit runs test with a site, in a bubble of its own time.
func visit(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &site{t: t, private: map[string]ed25519.PrivateKey{}}
		s.answer = s.works
		s.keysets = token.NewKeysets(token.KeysetsOptions{Transport: s, Logger: slog.New(slog.NewTextHandler(&s.log, nil))})
		defer s.keysets.Close()
		test(t, s)
	})
}

// RoundTrip implements http.RoundTripper.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	answer := s.answer
	s.asked++
	s.mu.Unlock()
	return answer(r)
}

func (s *site) answers(answer func(r *http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

// requests returns how many there were so far.
func (s *site) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

// Answers of a site.

func (s *site) works(*http.Request) (*http.Response, error) { return respond(200, s.set()), nil }
func down(*http.Request) (*http.Response, error)            { return nil, errors.New("dial: no route") }
func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func says(status int, body string) func(*http.Request) (*http.Response, error) {
	return func(*http.Request) (*http.Response, error) { return respond(status, body), nil }
}

// slow answers as next does, after a while.
func slow(d time.Duration, next func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		answer, err := next(r)
		select {
		case <-time.After(d):
			return answer, err
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
	}
}

func respond(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
}

// rotate replaces the keys by new ones.
func (s *site) rotate(kids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.private)
	for _, kid := range kids {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			s.t.Error(err)
		}
		s.private[kid] = k
	}
}

// set returns the key set as the site has it.
func (s *site) set() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for kid, k := range s.private {
		keys = append(keys, jwk(kid, k))
	}
	return keySet(keys...)
}

func keySet(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

func jwk(kid string, k ed25519.PrivateKey) string {
	o := tokentest.Object{{"kty", `"OKP"`}, {"crv", `"Ed25519"`}, {"x", tokentest.Text(base64.RawURLEncoding.EncodeToString(k.Public().(ed25519.PublicKey)))}}
	if kid != "" {
		o = o.And("kid", tokentest.Text(kid))
	}
	return o.String()
}

// token returns a token that the key with kid signs; a kid that there is not signs with a key of its own.
func (s *site) token(kid string) string {
	s.mu.Lock()
	k, ok := s.private[kid]
	s.mu.Unlock()
	if !ok {
		_, k, _ = ed25519.GenerateKey(rand.Reader)
	}
	return signedBy(kid, k)
}

func signedBy(kid string, k ed25519.PrivateKey) string {
	claims := tokentest.NewKit(time.Now()).Claims()
	return tokentest.Sign("EdDSA", k, tokentest.Object{{"alg", `"EdDSA"`}, {"kid", tokentest.Text(kid)}}.String(), claims.String())
}

var jwksIssuer = token.Issuer{JWKS: jwksURL, Issuer: tokentest.Issuer, Audience: tokentest.Audience}

// verifier returns a new Verifier, as at a reload.
func (s *site) verifier() *token.Verifier {
	s.t.Helper()
	v, err := token.New([]token.Issuer{jwksIssuer}, token.Options{Keysets: s.keysets})
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// accepted checks that a token is valid, and that this is known without waiting.
func accepted(t *testing.T, v *token.Verifier, raw string) {
	t.Helper()
	began := time.Now()
	_, err := v.Verify(context.Background(), raw)
	if waited := time.Since(began); err != nil || waited > 0 {
		t.Errorf("after %v: %v", waited, err)
	}
}

// unavailable checks that a token cannot be judged, which is known after at most the time given.
func unavailable(t *testing.T, v *token.Verifier, raw string, within time.Duration) {
	t.Helper()
	began := time.Now()
	_, err := v.Verify(context.Background(), raw)
	var u *token.UnavailableError
	if waited := time.Since(began); !errors.As(err, &u) || errors.Is(err, token.ErrInvalid) || waited > within {
		t.Fatalf("after %v: %v", waited, err)
	}
	if u.RetryAfter <= 0 {
		t.Error("to come back after", u.RetryAfter)
	}
}
