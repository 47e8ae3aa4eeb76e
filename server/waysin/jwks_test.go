package waysin_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// An issuer is somebody whose keys are behind a URL. What becomes of requests for them is changed by tests.
type issuer struct {
	kit *tokentest.Kit

	mu      sync.Mutex
	kids    []string // names of the one key that there is
	answers func(r *http.Request, keys string) (*http.Response, error)
	asked   int
}

// RoundTrip implements http.RoundTripper.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	i.mu.Lock()
	i.asked++
	answers, keys := i.answers, i.keys()
	i.mu.Unlock()
	return answers(r, keys)
}

// keys returns the key set. It is to be called with the lock held.
func (i *issuer) keys() string {
	encode := base64.RawURLEncoding.EncodeToString
	public := i.kit.Private.PublicKey
	var set []string
	for _, kid := range i.kids {
		set = append(set, tokentest.Object{
			{"kty", `"RSA"`}, {"kid", tokentest.Text(kid)}, {"alg", `"RS256"`},
			{"n", tokentest.Text(encode(public.N.Bytes()))}, {"e", tokentest.Text(encode(big.NewInt(int64(public.E)).Bytes()))},
		}.String())
	}
	return `{"keys":[` + strings.Join(set, ",") + `]}`
}

func (i *issuer) set(answers func(*http.Request, string) (*http.Response, error), kids ...string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answers, i.kids = answers, kids
}

func (i *issuer) requests() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

// token returns a token that is valid for an hour, as far as the key of that name is known.
func (i *issuer) token(kid string) string {
	k := tokentest.Kit{Now: time.Now()}
	return tokentest.Sign("RS256", i.kit.Private, headerOf(kid), k.Claims().String())
}

func headerOf(kid string) string {
	return tokentest.Object{{"alg", `"RS256"`}, {"kid", tokentest.Text(kid)}}.String()
}

// renamed returns a token with another name for its key, whose signature nobody gets to check.
func renamed(raw, kid string) string {
	_, rest, _ := strings.Cut(raw, ".")
	return base64.RawURLEncoding.EncodeToString([]byte(headerOf(kid))) + "." + rest
}

// Answers of issuers.

func works(_ *http.Request, keys string) (*http.Response, error) { return respond(200, nil, keys) }

func respond(status int, h http.Header, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func hangs(r *http.Request, _ string) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// trouble is all that may become of an issuer.
var trouble = map[string]func(*http.Request, string) (*http.Response, error){
	"down":  func(*http.Request, string) (*http.Response, error) { return nil, errors.New("no route") },
	"slow":  hangs,
	"ill":   func(*http.Request, string) (*http.Response, error) { return respond(500, nil, "down for maintenance") },
	"empty": func(*http.Request, string) (*http.Response, error) { return respond(200, nil, `{"keys":[]}`) },
	"garbage": func(*http.Request, string) (*http.Response, error) {
		return respond(200, nil, "<html>"+strings.Repeat("Sign in ", 1<<18)+"</html>")
	},
	"redirecting": func(_ *http.Request, keys string) (*http.Response, error) {
		return respond(302, http.Header{"Location": {"https://evil.example/keys"}}, keys)
	},
}

// policy returns the rules of the tests for users of the issuer. The caller closes the Keysets.
func (i *issuer) policy(t *testing.T) (*token.Keysets, *access.Policy) {
	t.Helper()
	keysets := token.NewKeysets(token.KeysetsOptions{Transport: i, Logger: slog.New(slog.DiscardHandler)})
	v, err := token.New([]token.Issuer{{
		JWKS: "https://id.example.com/jwks.json", Issuer: tokentest.Issuer, Audience: tokentest.Audience,
	}}, token.Options{Keysets: keysets})
	if err != nil {
		t.Fatal(err)
	}
	return keysets, policy(t, v)
}

// withIssuer runs a test of a site whose users' tokens are an issuer's, in a bubble of its own time. The issuer
// has the key "one", which is known.
func withIssuer(t *testing.T, test func(t *testing.T, s *site, i *issuer)) {
	t.Helper()
	kit := tokentest.NewKit(time.Now())
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{kit: kit}
		i.set(works, "one")
		keysets, policy := i.policy(t)
		t.Cleanup(keysets.Close)
		s := newSite(t, server.Options{Access: policy})
		synctest.Wait()
		test(t, s, i)
	})
}

// tried returns what a request with a token gets, and after how long.
func (s *site) tried(w way, raw string) (answer, time.Duration) {
	began := time.Now()
	a := s.call(w.inProgram(s.channel("room"), raw, inHeader))
	return a, time.Since(began)
}

// mayComeBack reports whether a client is told, in its protocol's way, that the issuer could not be asked.
func (a answer) mayComeBack() bool { return strings.Contains(a.body, "issuer_unavailable") }

// letIn fails the test unless a token is let in on each way without waiting for more than news.
func (s *site) letIn(t *testing.T, when, raw string) {
	t.Helper()
	for _, w := range forUsers(t) {
		a, after := s.tried(w, raw)
		if a.status != http.StatusOK && a.code != "bad_handshake" || a.mayComeBack() || after > time.Millisecond {
			t.Errorf("%s: %s: %d %s after %v", when, w.name, a.status, a.body, after)
		}
	}
}

// forUsers returns the ways that take a user's token, as a page asks first.
func forUsers(t *testing.T) []way {
	var some []way
	for _, w := range ways(t, nil) {
		if w.action != access.Clear && !w.figures && !w.opaque {
			some = append(some, w)
		}
	}
	return some
}

// An issuer that is away for ten minutes, in whatever way, changes nothing for those whose key is known. A token with
// another key is told to come back, and is let in when the issuer is there again.
func TestIssuerInTrouble(t *testing.T) {
	t.Parallel()
	for name, answers := range trouble {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withIssuer(t, func(t *testing.T, s *site, i *issuer) {
				s.letIn(t, "before", i.token("one"))
				i.set(answers, "one", "two")
				for minute := range 10 {
					time.Sleep(time.Minute)
					s.letIn(t, fmt.Sprint("minute ", minute), i.token("one"))
				}
				if a, _ := s.tried(forUsers(t)[0], i.token("two")); !a.mayComeBack() {
					t.Error("a key that is not known:", a)
				}
				i.set(works, "two")
				time.Sleep(time.Minute)
				s.letIn(t, "again", i.token("two"))
				if a, _ := s.tried(way{method: "GET", target: "/history/CHANNEL"}, i.token("one")); a.status != http.StatusUnauthorized {
					t.Error("a key that is withdrawn:", a)
				}
			})
		})
	}
}

// A key that is new is known by the first token that it has signed, which waits for the issuer, and others do not.
func TestKeyIsRotated(t *testing.T) {
	t.Parallel()
	withIssuer(t, func(t *testing.T, s *site, i *issuer) {
		time.Sleep(time.Minute)
		i.set(works, "one", "two")
		s.letIn(t, "the new key", i.token("two"))
		s.letIn(t, "the old key", i.token("one"))
	})
}

// While a thousand requests with made-up keys wait for a fetch that does not come back, and more than may wait are told
// to come back, honest clients are let in at once.
func TestMadeUpKeysHoldUpNobody(t *testing.T) {
	t.Parallel()
	withIssuer(t, func(t *testing.T, s *site, i *issuer) {
		time.Sleep(time.Minute)
		before := i.requests()
		i.set(hangs, "one")
		users, honest := forUsers(t), i.token("one")
		var floods sync.WaitGroup
		for n := range 1000 {
			time.Sleep(time.Millisecond)
			floods.Go(func() {
				a, _ := s.tried(users[n%len(users)], renamed(honest, fmt.Sprint("made-up-", n)))
				if !a.mayComeBack() {
					t.Errorf("a made-up key: %v", a)
				}
			})
			if n%50 == 0 {
				synctest.Wait() // so that they wait
				s.letIn(t, fmt.Sprint("beside ", n, " made-up keys"), honest)
			}
		}
		floods.Wait()
		if n := i.requests() - before; n > 3 {
			t.Errorf("%d fetches in ten seconds", n)
		}
	})
}

// So it is over real connections: the fetch for which others wait does not return before the honest are in.
func TestHandshakesBesideMadeUpKeys(t *testing.T) {
	t.Parallel()
	i := &issuer{kit: tokentest.NewKit(time.Now())}
	i.set(works, "one")
	keysets, policy := i.policy(t)
	defer keysets.Close()
	s := serve(t, server.Options{Access: policy})
	honest := i.token("one")
	v := s.visitor(t)
	v.answered(way{method: "GET", target: "/history/CHANNEL"}, inHeader.bring(honest), "room", 0, "", "the first")
	i.set(hangs, "one")
	all := ways(t, nil)
	for n := range 200 {
		w := all[n%len(all)]
		waits := s.visitor(t)
		waits.send(w.request(s.channel("room"), inHeader.bring(renamed(honest, fmt.Sprint("made-up-", n)))))
	}
	for _, w := range all {
		if w.action != access.Clear && !w.figures {
			v.answered(w, inHeader.bring(honest), "room", 0, "", "beside made-up keys")
		}
	}
}
