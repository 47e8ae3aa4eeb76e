package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/transport"
)

// waysIn are requests with nothing wrong in their form, one for each way in.
func waysIn() []way {
	all := []way{
		{"POST", "/publish/news?message=x"}, {"POST", "/publish?channel=news&message=x"}, {"GET", "/history/news?limit=1"}, {"DELETE", "/history/news?"},
		{"GET", "/spy?channel=news"}, {"GET", "/spy/own?"}, {"POST", "/spy/own?"}, {"GET", "/metrics?"},
	}
	for _, name := range transport.Names() {
		all = append(all, way{"GET", "/" + name + "?channel=news"}, way{"GET", "/" + name + "/news?"})
	}
	return all
}

// A token that is not valid lets nobody in, on any way in and however it is carried, even where anyone may; as a
// cookie it counts as none. A good one is let in by the same.
func TestBadTokensOnEveryWayIn(t *testing.T) {
	kit := tokentest.NewKit(time.Now())
	verifier, err := token.New(kit.Issuers(), token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	policy, err := access.New(access.Config{Tokens: verifier, Rules: []access.Rule{{Channels: []string{"**"}, Subscribe: access.Anyone, Publish: access.Anyone}}})
	if err != nil {
		t.Fatal(err)
	}
	var s spy
	h := spied(t, &s, server.Options{Access: policy, Cookie: "rt", Broker: keepingBroker()})
	tokens := kit.Bad()
	if len(tokens) < 40 {
		t.Errorf("only %d bad tokens", len(tokens))
	}
	for _, bad := range tokens {
		spaced := strings.TrimSpace(bad.Raw) != bad.Raw // which HTTP takes off a header
		for _, w := range waysIn() {
			for name, r := range map[string]*http.Request{
				"header":      request(w.method, w.target, nil, "Authorization", "Bearer "+bad.Raw),
				"subprotocol": request(w.method, w.target, nil, "Sec-WebSocket-Protocol", "pregon.v1, "+asProtocol(bad.Raw)),
				"query":       request(w.method, w.target+"&token="+url.QueryEscape(bad.Raw), nil),
			} {
				if name == "header" && spaced {
					continue
				}
				got := answerTo(h, r)
				if tooLong := name == "query" && len(bad.Raw) > 8000; tooLong && got.status == http.StatusRequestURITooLong {
					continue
				}
				if got.status != http.StatusUnauthorized || got.header.Get("WWW-Authenticate") != invalid || bad.Raw != "" && strings.Contains(got.body, bad.Raw) {
					t.Errorf("%s in the %s of %s %s: %d %s", bad.Name, name, w.method, w.target, got.status, got.body)
				}
			}
		}
		if got := answerTo(h, request("GET", "/spy/own", nil, "Cookie", "rt="+bad.Raw)); got.who != "stranger " && !spaced {
			t.Errorf("%s as a cookie: %d %s", bad.Name, got.status, got.body)
		}
	}
	good := kit.RS256(kit.Claims())
	for _, headers := range [][]string{{"Authorization", "Bearer " + good}, {"Sec-WebSocket-Protocol", "pregon.v1, " + asProtocol(good)}, {"Cookie", "rt=" + good}} {
		if got := answerTo(h, request("GET", "/spy/own", nil, headers...)); !strings.HasPrefix(got.who, "user ") {
			t.Errorf("a good token in %s: %d %s", headers[0], got.status, got.body)
		}
	}
}
