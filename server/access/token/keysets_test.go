package token_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

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
