package token_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Whatever an issuer does for ten minutes, tokens whose key is known are verified without waiting;
// others are told to come back. The log has a line at the beginning and one at the end.
func TestIssuerAway(t *testing.T) {
	t.Parallel()
	many := make([]string, 101)
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	for i := range many {
		many[i] = jwk(fmt.Sprint("other-", i), other)
	}
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
		"101 keys":         says(200, keySet(many...)),
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
