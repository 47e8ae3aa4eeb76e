package token_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
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
	asked   []time.Time
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
	s.asked = append(s.asked, time.Now())
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
	return len(s.asked)
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

// Nothing waits for an issuer at the start, and a token waits for the fetch that is under way.
func TestStart(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		s.answers(slow(3*time.Second, s.works))
		began := time.Now()
		v := s.verifier()
		if waited := time.Since(began); waited > 0 {
			t.Error("New waited", waited)
		}
		if _, err := v.Verify(t.Context(), s.token("a")); err != nil || time.Since(began) != 3*time.Second {
			t.Error(time.Since(began), err)
		}
		accepted(t, v, s.token("a"))
		if n := s.requests(); n != 1 {
			t.Error(n, "requests")
		}
	})
}

// A key that is new is fetched when a token names it; one that is gone does not count any more.
func TestRotation(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a", "b")
		v := s.verifier()
		time.Sleep(time.Minute)
		a, b := s.token("a"), s.token("b")
		accepted(t, v, a)
		accepted(t, v, b)
		s.rotate("c")
		accepted(t, v, a) // as nobody has told
		if _, err := v.Verify(t.Context(), s.token("c")); err != nil {
			t.Error("the new key:", err)
		}
		if n := s.requests(); n != 2 {
			t.Error(n, "requests")
		}
		refused(t, v, a, "unknown key")
		refused(t, v, b, "unknown key")
	})
}

// A key is new where its kid is known, too.
func TestKeyReplacedUnderItsName(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		v := s.verifier()
		synctest.Wait()
		before := s.token("a")
		accepted(t, v, before)
		s.rotate("a")
		time.Sleep(11 * time.Minute)
		accepted(t, v, s.token("a"))
		refused(t, v, before, "wrong signature")
	})
}

// Whatever an issuer does for ten minutes, tokens whose key is known are verified without waiting;
// others are told to come back. The log has a line at the beginning and one at the end.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	private := `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}`
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"down":             down,
		"hangs":            hangs,
		"slow":             slow(6*time.Second, says(200, keySet())),
		"drips":            drips,
		"breaks off":       breaksOff,
		"error":            says(500, "{}"),
		"not found":        says(404, keySet()),
		"no content":       says(204, ""),
		"redirect":         redirects,
		"empty":            says(200, ""),
		"page":             says(200, "<html>"),
		"list":             says(200, "[]"),
		"null":             says(200, "null"),
		"no keys":          says(200, "{}"),
		"empty set":        says(200, keySet()),
		"keys are a text":  says(200, `{"keys":"a"}`),
		"keys are numbers": says(200, `{"keys":[1,2]}`),
		"a member twice":   says(200, keySet(`{"kty":"OKP","kty":"OKP"}`)),
		"cut":              says(200, keySet()[:8]),
		"secrets only":     says(200, keySet(`{"kty":"oct","k":"YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"}`)),
		"private only":     says(200, keySet(private)),
		"101 keys":         says(200, keySet(strings.Split(strings.Repeat("{}\n", 101), "\n")[:101]...)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visit(t, func(t *testing.T, s *site) {
				s.rotate("a")
				v := s.verifier()
				time.Sleep(time.Minute)
				known := func() string { return s.token("a") }
				s.answers(answer)
				for end := time.Now().Add(10 * time.Minute); time.Now().Before(end); time.Sleep(25 * time.Second) {
					accepted(t, v, known())
					unavailable(t, v, s.token("other"), 10*time.Second)
					accepted(t, v, known())
				}
				s.answers(s.works)
				time.Sleep(time.Minute)
				accepted(t, v, known())
				s.keysets.Close()
				s.saidTwoLines(t)
			})
		})
	}
}

func (s *site) saidTwoLines(t *testing.T) {
	t.Helper()
	said := s.log.String()
	if strings.Count(said, "\n") != 2 || strings.Count(said, "cannot be fetched") != 1 || strings.Count(said, "can be fetched again") != 1 ||
		!strings.Contains(said, "url=https://id.example.com/jwks.json") {
		t.Errorf("the log has:\n%s", said)
	}
	for _, secret := range []string{"pa55", "s3cret", "user", "html"} {
		if strings.Contains(said, secret) {
			t.Errorf("the log has %q:\n%s", secret, said)
		}
	}
}

// redirects to where the keys of somebody else are.
func redirects(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "evil.example" {
		return nil, errors.New("the redirect was followed")
	}
	answer := respond(302, keySet())
	answer.Header.Set("Location", "https://evil.example/jwks.json")
	return answer, nil
}

// A body is one that is read by a function.
type body func(p []byte) (int, error)

func (b body) Read(p []byte) (int, error) { return b(p) }

func drips(r *http.Request) (*http.Response, error) {
	answer := respond(200, "")
	answer.Body = io.NopCloser(body(func(p []byte) (int, error) {
		select {
		case <-time.After(time.Second):
			p[0] = ' '
			return 1, nil
		case <-r.Context().Done():
			return 0, r.Context().Err()
		}
	}))
	return answer, nil
}

func breaksOff(*http.Request) (*http.Response, error) {
	answer := respond(200, "")
	answer.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"keys":`), body(func([]byte) (int, error) { return 0, io.ErrUnexpectedEOF })))
	return answer, nil
}

func endless(*http.Request) (*http.Response, error) {
	answer := respond(200, "")
	answer.Body = io.NopCloser(body(func(p []byte) (int, error) { return len(p), nil }))
	return answer, nil
}

// No more is read of an answer than 1 MiB.
func TestAnswerThatIsTooLong(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"endless":      endless,
		"a bit longer": says(200, keySet("{}")+strings.Repeat(" ", 1<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			visit(t, func(t *testing.T, s *site) {
				s.rotate("a")
				v := s.verifier()
				time.Sleep(time.Minute)
				s.answers(answer)
				unavailable(t, v, s.token("other"), time.Second)
				accepted(t, v, s.token("a"))
				s.keysets.Close()
				if !strings.Contains(s.log.String(), "longer than 1 MiB") {
					t.Error("the log has", s.log.String())
				}
			})
		})
	}
}

// A redirect is not followed: the keys behind it are not asked for.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		var hosts []string
		s.answers(func(r *http.Request) (*http.Response, error) { hosts = append(hosts, r.URL.Host); return redirects(r) })
		unavailable(t, s.verifier(), s.token("a"), 10*time.Second)
		s.keysets.Close()
		for _, h := range hosts {
			if h != "id.example.com" {
				t.Error("asked", h)
			}
		}
	})
}

// An unknown key is said to be unknown only after a fetch that began after the token came.
func TestUnknownKeyAfterAFetch(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		v := s.verifier()
		time.Sleep(time.Minute)
		s.answers(slow(time.Second, s.works))
		go func() { refused(t, v, s.token("made-up"), "unknown key") }()
		time.Sleep(500 * time.Millisecond) // the answer to that has been made
		s.rotate("b")
		began := time.Now()
		if _, err := v.Verify(t.Context(), s.token("b")); err != nil {
			t.Error("the key that came during a fetch:", err)
		}
		if waited := time.Since(began); waited > 6*time.Second {
			t.Error("waited", waited)
		}
	})
}

// 1,000 tokens a second with made-up keys cost the issuer a request in five seconds, hold up no token
// whose key is known, and are all answered; a key that is new comes in spite of them.
func TestMadeUpKeys(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(*site) func(*http.Request) (*http.Response, error){
		"of an issuer that works": func(s *site) func(*http.Request) (*http.Response, error) { return s.works },
		"of an issuer that hangs": func(*site) func(*http.Request) (*http.Response, error) { return hangs },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			visit(t, func(t *testing.T, s *site) { flood(t, s, answer(s)) })
		})
	}
}

func flood(t *testing.T, s *site, answer func(*http.Request) (*http.Response, error)) {
	const seconds = 6
	s.rotate("a")
	v := s.verifier()
	time.Sleep(time.Minute)
	before, honest := s.requests(), s.token("a")
	s.answers(answer)
	_, rest, _ := strings.Cut(honest, ".")
	var floods sync.WaitGroup
	for i := range 1000 * seconds {
		header := fmt.Appendf(nil, `{"alg":"EdDSA","kid":"made-up-%d"}`, i)
		floods.Go(func() { answered(t, v, base64.RawURLEncoding.EncodeToString(header)+"."+rest) })
		if i%10 == 0 {
			accepted(t, v, honest)
		}
		time.Sleep(time.Millisecond)
	}
	floods.Wait()
	if n, most := s.requests()-before, seconds/5+4; n > most {
		t.Errorf("%d requests, want at most %d", n, most)
	}
	s.answers(s.works)
	s.rotate("a", "b")
	if _, err := v.Verify(t.Context(), s.token("b")); err != nil {
		t.Error("the new key:", err)
	}
}

// answered checks that a token with a made-up key is refused, or told to come back, in ten seconds.
func answered(t *testing.T, v *token.Verifier, raw string) {
	began := time.Now()
	_, err := v.Verify(context.Background(), raw)
	var u *token.UnavailableError
	if waited := time.Since(began); waited > 10*time.Second || !errors.Is(err, token.ErrInvalid) && !errors.As(err, &u) {
		t.Errorf("after %v: %v", waited, err)
	}
}

// A token that is refused in any case does not wait for its key, and asks for no fetch.
func TestWrongTokensDoNotFetch(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		v := s.verifier()
		time.Sleep(time.Minute)
		kit := tokentest.NewKit(time.Now())
		header := `{"alg":"EdDSA","kid":"other"}`
		_, k, _ := ed25519.GenerateKey(rand.Reader)
		began := time.Now()
		for reason, raw := range map[string]string{
			"expired":                  tokentest.Sign("EdDSA", k, header, kit.Claims().With("exp", "0").String()),
			"wrong audience":           tokentest.Sign("EdDSA", k, header, kit.Claims().With("aud", `"a"`).String()),
			"no issuer has such a key": tokentest.Sign("EdDSA", k, header, kit.Claims().With("iss", `"a"`).String()),
			"wrong signature":          tokentest.Sign("EdDSA", k, `{"alg":"EdDSA","kid":"a"}`, kit.Claims().String()),
		} {
			refused(t, v, raw, reason)
		}
		for _, header := range []string{`{"alg":"HS256","kid":"a"}`, `{"alg":"none","kid":"b"}`, `{"alg":"RS256"}`} {
			refused(t, v, tokentest.Sign("EdDSA", k, header, kit.Claims().String()), "no issuer has such a key")
		}
		if n := s.requests(); n != 1 || time.Since(began) > 0 {
			t.Error(n, "requests, waited", time.Since(began))
		}
	})
}

// A caller that gives up waits no longer.
func TestCallerGivesUp(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.answers(hangs)
		v := s.verifier()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := v.Verify(ctx, s.token("a"))
		if waited := time.Since(began); waited != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(waited, err)
		}
	})
}

// A token that names no key is taken for the key of its kind, where there is only one.
func TestTokenWithoutKeyID(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		v := s.verifier()
		without := func() string {
			s.mu.Lock()
			defer s.mu.Unlock()
			return tokentest.Sign("EdDSA", s.private["a"], `{"alg":"EdDSA"}`, tokentest.NewKit(time.Now()).Claims().String())
		}
		if _, err := v.Verify(t.Context(), without()); err != nil {
			t.Error("ahead of the first fetch:", err)
		}
		accepted(t, v, without())
		s.rotate("a", "b")
		time.Sleep(11 * time.Minute)
		refused(t, v, without(), "no issuer has such a key")
	})
}

// A new Verifier finds the keys that are known; a URL that none uses any more is not asked again.
func TestReload(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.rotate("a")
		old := s.verifier()
		time.Sleep(time.Minute)
		s.answers(down)
		v := s.verifier()
		accepted(t, v, s.token("a"))
		s.keysets.Retain(v)
		accepted(t, v, s.token("a"))
		accepted(t, old, s.token("a"))

		none, err := token.New(nil, token.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.keysets.Retain(none)
		before := s.requests()
		time.Sleep(time.Hour)
		if n := s.requests() - before; n > 0 {
			t.Error(n, "requests for what nobody uses")
		}
		accepted(t, v, s.token("a"))
		unavailable(t, v, s.token("b"), 0)
	})
}

// A configuration that is refused has fetched nothing.
func TestRefusedConfigurationFetchesNothing(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		_, err := token.New([]token.Issuer{jwksIssuer, {Secret: []byte("short")}}, token.Options{Keysets: s.keysets})
		if err == nil {
			t.Error("accepted")
		}
		time.Sleep(time.Hour)
		if n := s.requests(); n > 0 {
			t.Error(n, "requests")
		}
	})
}

// Close ends a fetch, and the waiting for it.
func TestCloseEndsWaiting(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.answers(hangs)
		v := s.verifier()
		var waiting sync.WaitGroup
		waiting.Go(func() { unavailable(t, v, s.token("a"), time.Second) })
		time.Sleep(time.Second)
		began := time.Now()
		s.keysets.Close()
		waiting.Wait()
		if waited := time.Since(began); waited > 0 {
			t.Error("waited", waited)
		}
		unavailable(t, v, s.token("a"), 0)
		unavailable(t, s.verifier(), s.token("a"), 0)
		s.keysets.Close()
		if s.log.Len() > 0 {
			t.Error(s.log.String())
		}
	})
}
