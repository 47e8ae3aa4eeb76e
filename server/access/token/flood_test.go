package token_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server/access/token"
)

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

// At most 1,000 tokens wait for the keys of a URL; the next is told at once to come back. When they have
// been answered, others wait again.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	visit(t, func(t *testing.T, s *site) {
		s.answers(hangs)
		v := s.verifier()
		raw := s.token("a")
		for range 2 {
			var waiting sync.WaitGroup
			for range 1000 {
				waiting.Go(func() { answered(t, v, raw) })
			}
			synctest.Wait()
			unavailable(t, v, raw, 0)
			waiting.Wait()
		}
	})
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
