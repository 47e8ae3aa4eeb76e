package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// A way is an address that pages may use, as far as their origin is allowed.
type way struct{ method, target string }

// ways are all of them: those of every transport that is registered, too.
func ways() []way {
	all := []way{{"POST", "/publish"}, {"POST", "/publish/news"}, {"GET", "/history/news"}, {"DELETE", "/history/news"}, {"GET", "/spy/own"}, {"POST", "/spy/own"}}
	for _, name := range transport.Names() {
		all = append(all, way{"GET", "/" + name + "?format=none"}, way{"GET", "/" + name + "/news?format=none"}) // so that none is served for ever
	}
	return all
}

// Which pages may use the server, and with the user's cookies or without, is the same on every way in, and what
// a browser is told before a request is what counts for the request.
func TestOriginsOnEveryWayIn(t *testing.T) {
	const refused, anonymous, credentialed = "refused", "anonymous", "credentialed"
	some := []string{"https://app.example", "https://*.preview.example", "http://[2001:db8::1]:8000", "capacitor://localhost"}
	for _, c := range []struct {
		list         []string
		origin, want string
	}{
		{some, "http://example.com", credentialed}, {some, "https://example.com", credentialed}, {some, "https://EXAMPLE.COM:443", credentialed},
		{some, "https://rt.example.org", credentialed}, {some, "http://rt.example.org", credentialed},
		{some, "https://app.example", credentialed}, {some, "HTTPS://App.Example:443", credentialed},
		{some, "https://a.preview.example", credentialed}, {some, "https://a.b.preview.example", credentialed},
		{some, "http://[2001:DB8::1]:8000", credentialed}, {some, "capacitor://localhost", credentialed},
		{some, "http://example.com:8000", refused}, {some, "https://rt.example.org:8443", refused}, {some, "https://example.com.", refused},
		{some, "http://app.example", refused}, {some, "https://app.example:8443", refused}, {some, "https://app.example.", refused},
		{some, "https://app.example.evil", refused}, {some, "https://evilapp.example", refused}, {some, "https://x.app.example", refused},
		{some, "https://preview.example", refused}, {some, "https://evilpreview.example", refused}, {some, "http://a.preview.example", refused},
		{some, "https://app.example@evil.example", refused}, {some, "https://app.example/", refused}, {some, "null", refused}, {some, "", refused},
		{some, "file://", refused}, {some, "https://xn--pp-eka.example", refused}, {some, "http://[2001:db8::2]:8000", refused},
		{[]string{"*"}, "https://any.example", anonymous}, {[]string{"*"}, "null", anonymous}, {[]string{"*"}, "http://example.com", credentialed},
		{[]string{"null"}, "null", anonymous}, {[]string{"null"}, "https://any.example", refused},
		{[]string{"*", "https://app.example"}, "https://app.example", credentialed},
	} {
		var s spy
		h := spied(t, &s, server.Options{Access: rules(t, true, true), AllowOrigins: c.list, Hosts: []string{"example.com", "rt.example.org"}})
		for _, w := range ways() {
			path, _, _ := strings.Cut(w.target, "?")
			asked := answerTo(h, request("OPTIONS", path, nil, "Origin", c.origin, "Access-Control-Request-Method", w.method))
			for _, got := range []answered{asked, answerTo(h, request(w.method, w.target, strings.NewReader("x"), "Origin", c.origin))} {
				what := refused
				switch {
				case got.code == "origin_not_allowed":
				case got.header.Get("Access-Control-Allow-Origin") != c.origin:
					what = "told " + got.header.Get("Access-Control-Allow-Origin")
				case got.header.Get("Access-Control-Allow-Credentials") == "true":
					what = credentialed
				default:
					what = anonymous
				}
				if what != c.want || got.header.Get("Vary") != "Origin" || (what == refused) != (got.status == http.StatusForbidden) ||
					what == refused && got.header.Get("Access-Control-Allow-Origin") != "" {
					t.Errorf("allowed %q, origin %s, %s %s: %s, %d %s", c.list, c.origin, w.method, w.target, what, got.status, got.body)
				}
			}
			if c.want != refused && (!strings.Contains(asked.header.Get("Access-Control-Allow-Methods"), w.method) || !strings.Contains(asked.header.Get("Access-Control-Allow-Headers"), "Authorization")) {
				t.Errorf("%s is told of %s %s: %v", c.origin, w.method, w.target, asked.header)
			}
		}
	}
}

// Two origins are none: which of them counts would be a matter of who reads.
func TestTwoOrigins(t *testing.T) {
	var s spy
	h := spied(t, &s, server.Options{AllowOrigins: []string{"https://app.example"}})
	for _, w := range ways() {
		r := request(w.method, w.target, nil, "Origin", "https://app.example", "Origin", "https://app.example")
		if got := answerTo(h, r); got.code != "origin_not_allowed" {
			t.Errorf("%s %s: %d %s", w.method, w.target, got.status, got.body)
		}
	}
}
