package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

// Credentials of the tests. anaToken grants room.1, and otherToken nothing.
const (
	appKey     = "k3y-of-the-application-0001"
	listenKey  = "k3y-that-may-only-hear-0002"
	anaToken   = "eyJhbmEiOiJhbmEiLCJhIjoxfQ.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLW9mLWFuYQ"
	otherToken = "eyJvdGhlciI6Im90aGVyIiwiYSI6MX0.eyJzdWIiOiJvdGhlciJ9.c2lnbmF0dXJlLW9mLW90aGVy"
	lateToken  = "eyJsYXRlIjoibGF0ZSIsImEiOjF9.eyJzdWIiOiJsYXRlIn0.c2lnbmF0dXJlLW9mLWxhdGU"
	awayToken  = "eyJhd2F5IjoiYXdheSIsImEiOjF9.eyJzdWIiOiJhd2F5In0.c2lnbmF0dXJlLW9mLWF3YXk"
	forgery    = "eyJmb3JnZWQiOiJmb3JnZWQifQ.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ"
)

// fakeTokens are tokens by their text.
type fakeTokens struct{}

func (fakeTokens) Verify(_ context.Context, text string) (token.Claims, error) {
	switch text {
	case anaToken:
		return token.Claims{Subject: "ana", Subscribe: []string{"room.1"}, Publish: []string{"room.1"}}, nil
	case otherToken:
		return token.Claims{Subject: "other"}, nil
	case lateToken:
		return token.Claims{Subject: "late", Subscribe: []string{"**"}, Expires: time.Now().Add(-time.Second)}, nil
	case awayToken:
		return token.Claims{}, &token.UnavailableError{RetryAfter: 1500 * time.Millisecond, Err: context.DeadlineExceeded}
	}
	return token.Claims{}, token.ErrInvalid
}

func (fakeTokens) Trusts(token.Fingerprint) bool { return true }

// rules of the tests: news is for anyone to hear, room.* for those who are granted it, and all
// else for keys.
func rules(t testing.TB, withKeys, withTokens bool) *access.Policy {
	t.Helper()
	c := access.Config{Rules: []access.Rule{
		{Line: 7, Channels: []string{"news"}, Subscribe: access.Anyone},
		{Line: 8, Channels: []string{"wall"}, Subscribe: access.Anyone, Publish: access.Anyone},
		{Line: 9, Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant},
	}}
	if withTokens {
		c.Tokens = fakeTokens{}
	}
	if withKeys {
		for _, k := range []struct {
			name, secret string
			subscribe    []string
		}{{"app", appKey, nil}, {"ear", listenKey, []string{"**"}}} {
			digest, err := access.DigestOf(k.secret)
			if err != nil {
				t.Fatal(err)
			}
			c.Keys = append(c.Keys, access.Key{Name: k.name, Digest: digest, Subscribe: k.subscribe})
		}
	}
	p, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// A spy is a Transport that answers with whom it serves, and keeps the request.
type spy struct {
	transport.Transport
	seen *http.Request
}

func (s *spy) DefaultFormat() string { return "text" }
func (s *spy) Wait()                 {}
func (s *spy) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	return s.answer(w, r, wanted.Client)
}

func (s *spy) answer(w http.ResponseWriter, r *http.Request, c transport.Client) error {
	s.seen = r
	who := c.Identity()
	_, _ = fmt.Fprintf(w, "%v %s%s", who.Kind, who.Key, who.Subject)
	return nil
}

// Routes implements transport.Router.
func (s *spy) Routes() []transport.Route {
	return []transport.Route{{Method: "GET", Path: "/own", Serve: s.answer}, {Method: "POST", Path: "/own", Serve: s.answer}}
}

// spied returns the handler of a server whose transport spy is s.
func spied(t *testing.T, s *spy, o server.Options) http.Handler {
	t.Helper()
	o.Transports = map[string]transport.Maker{"spy": func(transport.Deps) (transport.Transport, error) { return s, nil }}
	return handler(t, o)
}

// answered is an answer that was read.
type answered struct {
	status    int
	code, who string
	request   string
	header    http.Header
	body      string
}

// answerTo returns what h answers to r.
func answerTo(h http.Handler, r *http.Request) answered {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answered{status: w.Code, header: w.Header(), body: w.Body.String()}
	var p struct{ Code, Request string }
	if json.Unmarshal(w.Body.Bytes(), &p) == nil {
		a.code, a.request = p.Code, p.Request
	} else if w.Code == http.StatusOK {
		a.who = a.body
	}
	return a
}

// request makes one for example.com. headers are names and values in turn; a name that comes twice
// is there twice.
func request(method, target string, body io.Reader, headers ...string) *http.Request {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func asProtocol(credential string) string {
	return "pregon.bearer." + base64.RawURLEncoding.EncodeToString([]byte(credential))
}

const (
	needed  = `Bearer realm="pregon"`
	invalid = `Bearer realm="pregon", error="invalid_token"`
)

// Every way to bring a credential, pairs of them, and none.
func TestWaysToBringACredential(t *testing.T) {
	const auth, offer = "Authorization", "Sec-WebSocket-Protocol"
	h := spied(t, &spy{}, server.Options{Access: rules(t, true, true), Cookie: "rt"})
	for _, c := range []struct {
		name, query string
		headers     []string
		status      int
		want        string // who it is, the challenge, or the code
	}{
		{"none", "", nil, 200, "stranger "},
		{"key in the header", "", []string{auth, "Bearer " + appKey}, 200, "backend app"},
		{"token in the header", "", []string{auth, "Bearer " + anaToken}, 200, "user ana"},
		{"scheme in any case", "", []string{auth, "bEARER  " + anaToken}, 200, "user ana"},
		{"another scheme", "", []string{auth, "Basic YTpi"}, 401, invalid},
		{"a key without a scheme", "", []string{auth, appKey}, 401, invalid},
		{"an empty header", "", []string{auth, ""}, 401, invalid},
		{"nothing behind the scheme", "", []string{auth, "Bearer"}, 401, invalid},
		{"two in a header", "", []string{auth, "Bearer " + appKey + ", Bearer " + appKey}, 401, invalid},
		{"unknown key", "", []string{auth, "Bearer " + appKey + "x"}, 401, invalid},
		{"forged token", "", []string{auth, "Bearer " + forgery}, 401, invalid},
		{"ticket", "", []string{auth, "Bearer pgt_" + appKey}, 401, invalid},

		{"token in the query", "token=" + anaToken, nil, 200, "user ana"},
		{"its name escaped", "%74oken=" + anaToken, nil, 200, "user ana"},
		{"key in the query", "token=" + appKey, nil, 401, invalid},
		{"empty in the query", "token=", nil, 401, invalid},
		{"broken in the query", "token=%zz", nil, 400, "bad_query"},

		{"token as a subprotocol", "", []string{offer, "pregon.v1, " + asProtocol(anaToken)}, 200, "user ana"},
		{"on lines of their own", "", []string{offer, asProtocol(anaToken), offer, "pregon.v1"}, 200, "user ana"},
		{"key as a subprotocol", "", []string{offer, "pregon.v1, " + asProtocol(appKey)}, 401, invalid},
		{"alone", "", []string{offer, asProtocol(anaToken)}, 400, "bad_handshake"},
		{"beside another", "", []string{offer, "mqtt, " + asProtocol(anaToken)}, 400, "bad_handshake"},
		{"bad base64", "", []string{offer, "pregon.v1, pregon.bearer.a!"}, 401, invalid},
		{"padded base64", "", []string{offer, "pregon.v1, " + asProtocol(anaToken) + "=="}, 401, invalid},
		{"no base64", "", []string{offer, "pregon.v1, pregon.bearer."}, 401, invalid},
		{"no credential among subprotocols", "", []string{offer, "pregon.v1, chat"}, 200, "stranger "},

		{"cookie", "", []string{"Cookie", "a=b; rt=" + anaToken}, 200, "user ana"},
		{"cookie of another name", "", []string{"Cookie", "token=" + anaToken}, 200, "stranger "},
		{"forged cookie", "", []string{"Cookie", "rt=" + forgery}, 200, "stranger "},
		{"key as a cookie", "", []string{"Cookie", "rt=" + appKey}, 200, "stranger "},
		{"two cookies", "", []string{"Cookie", "rt=" + anaToken + "; rt=" + otherToken}, 200, "stranger "},
		{"header beats cookie", "", []string{"Cookie", "rt=" + anaToken, auth, "Bearer " + otherToken}, 200, "user other"},
		{"query beats cookie", "token=" + otherToken, []string{"Cookie", "rt=" + anaToken}, 200, "user other"},
		{"subprotocol beats cookie", "", []string{"Cookie", "rt=" + anaToken, offer, "pregon.v1," + asProtocol(otherToken)}, 200, "user other"},
		{"forgery beats cookie", "token=" + forgery, []string{"Cookie", "rt=" + anaToken}, 401, invalid},

		{"two headers", "", []string{auth, "Bearer " + anaToken, auth, "Bearer " + anaToken}, 400, "two_credentials"},
		{"two in the query", "token=" + anaToken + "&token=" + anaToken, nil, 400, "two_credentials"},
		{"two subprotocols", "", []string{offer, "pregon.v1," + asProtocol(anaToken) + "," + asProtocol(anaToken)}, 400, "two_credentials"},
		{"header and query", "token=" + anaToken, []string{auth, "Bearer " + anaToken}, 400, "two_credentials"},
		{"header and subprotocol", "", []string{auth, "Bearer " + appKey, offer, "pregon.v1," + asProtocol(anaToken)}, 400, "two_credentials"},
		{"query and subprotocol", "token=", []string{offer, "pregon.v1," + asProtocol(anaToken)}, 400, "two_credentials"},

		{"issuer away", "", []string{auth, "Bearer " + awayToken}, 503, "issuer_unavailable"},
		{"issuer away, cookie", "", []string{"Cookie", "rt=" + awayToken}, 503, "issuer_unavailable"},
		{"expired since it was verified", "", []string{auth, "Bearer " + lateToken}, 401, invalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := answerTo(h, request("GET", "/spy?channel=news&"+c.query, nil, c.headers...))
			what := got.who
			switch {
			case got.status == http.StatusUnauthorized && got.code == "unauthorized":
				what = got.header.Get("WWW-Authenticate")
			case got.status != http.StatusOK:
				what = got.code
			}
			if got.status != c.status || what != c.want || (got.status == 503) != (got.header.Get("Retry-After") == "2") {
				t.Errorf("%d %q, want %d %q: %s", got.status, what, c.status, c.want, got.body)
			}
		})
	}
}

// A Transport gets the request as it came, but without a credential, wherever it was.
func TestTransportsSeeNoCredential(t *testing.T) {
	for name, headers := range map[string][]string{
		"header":      {"Authorization", "Bearer " + anaToken},
		"subprotocol": {"Sec-WebSocket-Protocol", "chat, " + asProtocol(anaToken) + ", pregon.v1"},
		"query":       {},
		"cookie":      {"Cookie", "a=b; rt=" + anaToken + "; c=d"},
		"old page":    {"Authorization", "Bearer " + anaToken, "Referer", "https://example.com/page?x=1&token=" + otherToken + "&y=2"},
	} {
		for _, path := range []string{"/spy", "/spy/own"} {
			var s spy
			h := spied(t, &s, server.Options{Access: rules(t, true, true), Cookie: "rt"})
			target := path + "?channel=news&format=json"
			if name == "query" {
				target = path + "?channel=news&token=" + anaToken + "&format=json"
				headers = []string{"Referer", "https://example.com" + target, "X-Original-URI", target}
			}
			r := request("GET", target, nil, append([]string{"X-Other", "stays", "Accept-Language", "es"}, headers...)...)
			sent := r.Header.Clone()
			if got := answerTo(h, r); got.who != "user ana" {
				t.Fatal(name, got)
			}
			if !maps.EqualFunc(sent, r.Header, func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) || r.URL.RequestURI() != target {
				t.Error("the caller's own request was changed")
			}
			var dump bytes.Buffer
			_ = s.seen.Header.Write(&dump)
			fmt.Fprintln(&dump, s.seen.RequestURI, s.seen.URL, s.seen.Form)
			for _, secret := range []string{anaToken, otherToken, asProtocol(anaToken), "c2lnbmF0dXJl", "token="} {
				if strings.Contains(dump.String(), secret) {
					t.Errorf("%s: the transport sees %s", name, dump.String())
				}
			}
			if s.seen.RequestURI != path+"?channel=news&format=json" || s.seen.URL.RawQuery != "channel=news&format=json" || s.seen.Header.Get("X-Other") != "stays" {
				t.Errorf("%s: %s", name, dump.String())
			}
			for header, want := range map[string]string{"Sec-Websocket-Protocol": "chat, pregon.v1", "Cookie": "a=b; c=d", "Referer": "https://example.com/page?x=1&y=2"} {
				if got := s.seen.Header.Get(header); got != want && r.Header.Get(header) != "" && name != "query" {
					t.Errorf("%s: %s: %s", name, header, got)
				}
			}
		}
	}
}

// Without keys a key is not valid, and without tokens no token is: nobody is let in as somebody
// because nobody is asked who they are.
func TestCredentialsThatNobodyTakes(t *testing.T) {
	for name, policy := range map[string]*access.Policy{"open": nil, "no keys": rules(t, false, true), "no tokens": rules(t, true, false)} {
		for credential, kind := range map[string]string{appKey: "no keys", anaToken: "no tokens"} {
			var s spy
			h := spied(t, &s, server.Options{Access: policy})
			want := http.StatusOK
			if name == "open" || name == kind {
				want = http.StatusUnauthorized
			}
			if got := answerTo(h, request("GET", "/spy?channel=news", nil, "Authorization", "Bearer "+credential)); got.status != want {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	}
}

// A cookie is sent by browsers for pages of any site. So it counts only for those that may have it.
func TestCookiesAndOtherSites(t *testing.T) {
	for _, c := range []struct {
		list, method, origin, site string
		counts                     bool
	}{
		{"", "GET", "", "", true},
		{"", "GET", "", "same-origin", true},
		{"", "GET", "", "same-site", false},
		{"", "GET", "", "cross-site", false},
		{"", "GET", "", "none", false},
		{"", "POST", "", "", false},
		{"", "POST", "", "same-origin", false},
		{"", "GET", "http://example.com", "", true},
		{"", "POST", "http://example.com", "same-origin", true},
		{"", "GET", "https://rt.example.org", "", true}, // a name of the server's
		{"https://app.example", "GET", "https://app.example", "cross-site", true},
		{"https://app.example", "POST", "https://app.example", "cross-site", true},
		{"https://*.app.example", "POST", "https://a.app.example", "cross-site", true},
		{"*", "GET", "https://any.example", "cross-site", false},
		{"*", "POST", "https://any.example", "", false},
		{"*", "GET", "null", "", false},
		{"null", "GET", "null", "cross-site", false},
		{"*", "GET", "", "cross-site", false},
		{"*,https://app.example", "GET", "https://app.example", "cross-site", true},
	} {
		var s spy
		o := server.Options{Access: rules(t, true, true), Cookie: "rt", Hosts: []string{"example.com", "rt.example.org"}}
		if c.list != "" {
			o.AllowOrigins = strings.Split(c.list, ",")
		}
		headers := []string{"Cookie", "rt=" + anaToken}
		for name, value := range map[string]string{"Origin": c.origin, "Sec-Fetch-Site": c.site} {
			if value != "" {
				headers = append(headers, name, value)
			}
		}
		want := "stranger "
		if c.counts {
			want = "user ana"
		}
		if got := answerTo(spied(t, &s, o), request(c.method, "/spy/own", nil, headers...)); got.who != want {
			t.Errorf("%+v: %d %s", c, got.status, got.body)
		}
		if s.seen.Header.Get("Cookie") != "" {
			t.Error("the transport sees the cookie")
		}
	}
}

// The program's own Authenticate is asked in place of reading credentials. It sees the request as it came,
// and Transports do not. A panic is a no, and what an error says is not told.
func TestAuthenticate(t *testing.T) {
	var out lines
	var s spy
	h := spied(t, &s, server.Options{
		Access: rules(t, true, true), Logger: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Authenticate: func(r *http.Request) (transport.Identity, error) {
			session, _ := r.Cookie("session")
			switch {
			case session == nil:
				return transport.Identity{}, nil
			case session.Value == "panic":
				panic("of session panic with " + appKey)
			case session.Value == "teapot":
				return transport.Identity{}, &transport.Problem{Status: 418, Code: "teapot", Detail: "short and stout"}
			case session.Value == "ana" && r.Header.Get("Authorization") == "Bearer "+appKey && r.URL.Query().Get("token") == anaToken:
				return transport.Identity{Kind: transport.User, Subject: "ana", Subscribe: []string{"room.1"}}, nil
			}
			return transport.Identity{}, fmt.Errorf("there is no session %s", session.Value)
		},
	})
	for _, c := range []struct {
		channel, session string
		status           int
		want             string
	}{
		{"news", "", 200, "stranger "}, {"room.1", "", 401, "unauthorized"}, {"room.1", "ana", 200, "user ana"}, {"room.2", "ana", 403, "forbidden"},
		{"news", "panic", 401, "unauthorized"}, {"news", "teapot", 418, "teapot"}, {"news", "nonsense", 401, "unauthorized"},
	} {
		headers := []string{"Authorization", "Bearer " + appKey}
		if c.session != "" {
			headers = append(headers, "Cookie", "session="+c.session)
		}
		got := answerTo(h, request("GET", "/spy?channel="+c.channel+"&token="+anaToken, nil, headers...))
		if got.status != c.status || got.who+got.code != c.want {
			t.Errorf("%+v: %d %s", c, got.status, got.body)
		}
		if got.status == 200 && (s.seen.Header.Get("Cookie")+s.seen.Header.Get("Authorization") != "" || s.seen.URL.RawQuery != "channel="+c.channel) {
			t.Error("the transport sees", s.seen.Header, s.seen.URL)
		}
	}
	if log := out.containing(""); !strings.Contains(log, "has panicked") || strings.Contains(log, appKey) || strings.Contains(log, "nonsense") || strings.Contains(log, anaToken) {
		t.Error(log)
	}
}

// A program's own Authenticate sees cookies only where they may count: pages of other sites
// make the user's browser send them, too.
func TestAuthenticateSeesCookiesThatCount(t *testing.T) {
	h := handler(t, server.Options{
		Broker: keepingBroker(), Access: rules(t, true, true), AllowOrigins: []string{"*", "null", "https://app.example.org"},
		Authenticate: func(r *http.Request) (transport.Identity, error) {
			if _, err := r.Cookie("session"); err != nil {
				return transport.Identity{}, nil
			}
			return transport.Identity{Kind: transport.User, Subject: "ana", Subscribe: []string{"room.1"}, Publish: []string{"room.1"}}, nil
		},
	})
	for _, c := range []struct {
		method  string
		headers []string
		status  int
	}{
		{"POST", []string{"Origin", "https://app.example.org"}, 200}, {"POST", []string{"Origin", "http://example.com"}, 200},
		{"POST", []string{"Origin", "https://evil.example"}, 401}, {"POST", []string{"Origin", "null"}, 401}, {"POST", nil, 401},
		{"GET", nil, 200}, {"GET", []string{"Sec-Fetch-Site", "same-origin"}, 200}, {"GET", []string{"Sec-Fetch-Site", "cross-site"}, 401},
	} {
		target := "/history/room.1"
		if c.method == "POST" {
			target = "/publish/room.1?message=x"
		}
		if got := answerTo(h, request(c.method, target, nil, append([]string{"Cookie", "session=ana"}, c.headers...)...)); got.status != c.status {
			t.Errorf("%s %v: %d %s, want %d", c.method, c.headers, got.status, got.body, c.status)
		}
	}
}
