package waysin_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token/tokentest"
)

// An admission is what pages of an origin may.
type admission int

const (
	refused      admission = iota
	anonymous              // use the server, without the user's cookies
	credentialed           // and with them
)

// An origin is what a page's requests have in the header of that name, several in as many lines.
type origin struct {
	sent string
	may  admission
}

var listed = []string{
	"https://app.example.net", "https://*.preview.example.net", "https://*.ports.example.net:8443",
	"https://xn--espaa-rta.example.net", "https://[2001:db8::1]:8443", "http://192.0.2.7", "capacitor://localhost",
}

// origins are tried where those of listed are allowed.
var origins = []origin{
	{"https://rt.example.com", credentialed}, // its own
	{"http://rt.example.com", credentialed},  // which a proxy may end TLS for
	{"https://RT.Example.COM:443", credentialed},
	{"https://rt.example.com:8443", refused},
	{"https://rt.example.com.", refused},
	{"https://x.rt.example.com", refused},
	{"https://rt.example.com.evil.example", refused},
	{"https://evilrt.example.com", refused},
	{"https://example.com", refused},
	{"ftp://rt.example.com", refused},

	{"https://app.example.net", credentialed}, // exactly
	{"https://app.example.net:443", credentialed},
	{"HTTPS://APP.EXAMPLE.NET", credentialed},
	{"http://app.example.net", refused},
	{"https://app.example.net:444", refused},
	{"https://app.example.net.", refused},
	{"https://app.example.net.evil.example", refused},
	{"https://evil-app.example.net", refused},
	{"https://x.app.example.net", refused},
	{"https://app.example.net/", refused},
	{"https://app.example.net/path", refused},
	{"https://user@app.example.net", refused},
	{"https://app.example.net@evil.example", refused},
	{"https://app.example.net#", refused},
	{"https://app.example.net?", refused},
	{"app.example.net", refused},
	{"//app.example.net", refused},

	{"https://pr-1.preview.example.net", credentialed}, // by pattern
	{"https://a.b.preview.example.net", credentialed},
	{"https://PR-1.Preview.Example.Net:443", credentialed},
	{"https://preview.example.net", refused},
	{"https://.preview.example.net", refused},
	{"https://*.preview.example.net", refused},
	{"https://evilpreview.example.net", refused},
	{"https://pr-1.preview.example.net.evil.example", refused},
	{"https://evil.example/.preview.example.net", refused},
	{"https://evil.example#.preview.example.net", refused},
	{"https://evil.example\\.preview.example.net", refused},
	{"http://pr-1.preview.example.net", refused},
	{"https://pr-1.preview.example.net:8443", refused},
	{"https://a.ports.example.net:8443", credentialed},
	{"https://a.ports.example.net", refused},

	{"https://xn--espaa-rta.example.net", credentialed}, // IDN, as browsers send it
	{"https://españa.example.net", refused},
	{"https://[2001:db8::1]:8443", credentialed},
	{"https://[2001:DB8:0:0::1]:8443", credentialed},
	{"https://[2001:db8::1]", refused},
	{"https://[2001:db8::2]:8443", refused},
	{"http://192.0.2.7", credentialed},
	{"http://192.0.2.8", refused},
	{"http://3221225991", refused},

	{"capacitor://localhost", credentialed}, // of an app
	{"capacitor://evil.example", refused},
	{"file://", refused},
	{"null", refused},
	{"NULL", refused},
	{"*", refused},
	{"", refused},
	{"https://app.example.net https://app.example.net", refused},
	{"https://app.example.net, https://app.example.net", refused},
	{"https://app.example.net\r\nOrigin: https://app.example.net", refused},
	{"https://app.example.net\r\nOrigin: https://evil.example", refused},
}

// Pages of other sites are let in as far as their origin is listed, on every way in: with the user's cookies where it
// is named or matches a pattern, without them where only "*" or "null" lets it in. A credential of their own makes no
// difference: the browser is told, too.
func TestOrigins(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	for _, c := range []struct {
		name    string
		allowed []string
		origins []origin
	}{
		{"listed", listed, origins},
		{"null", []string{"null"}, []origin{{"null", anonymous}, {"NULL", refused}, {"https://a.example", refused}, {"https://rt.example.com", credentialed}}},
		{"any", []string{"*", "https://app.example.net"}, []origin{
			{"https://a.example", anonymous}, {"http://localhost:3000", anonymous}, {"null", anonymous}, {"file://", anonymous},
			{"https://app.example.net", credentialed}, {"https://rt.example.com", credentialed},
			{"https://a.example\r\nOrigin: https://a.example", refused},
		}},
		{"none", nil, []origin{{"null", refused}, {"https://a.example", refused}, {"https://rt.example.com", credentialed}}},
	} {
		s := serve(t, server.Options{Access: policy(t, verifier(t, kit)), AllowOrigins: c.allowed})
		rooms := callers(kit)[1].credential
		for _, w := range ways(t, nil) {
			if w.figures {
				continue // for no page at all
			}
			t.Run(c.name+"/"+w.name, func(t *testing.T) {
				t.Parallel()
				p := page{s.visitor(t), w}
				for _, o := range c.origins {
					p.visit(o, rooms)
					p.preflight(o)
				}
			})
		}
	}
}

// A page is one that uses a way in.
type page struct {
	*visitor
	way way
}

// visit makes requests from a page: without a credential, with the cookie, and with a credential of its own.
func (p page) visit(o origin, credential string) {
	p.t.Helper()
	withCookie := extra{lines: []string{"Cookie: " + cookie + "=" + credential}}
	clears := p.way.action == access.Clear // which is for keys
	switch {
	case o.may == refused:
		for name, e := range map[string]extra{"nothing": {}, "cookie": withCookie, "token": inHeader.bring(credential), "key": inHeader.bring(appKey)} {
			p.from(o, name, "open", e, http.StatusForbidden, "origin_not_allowed")
		}
		return
	case clears:
		p.from(o, "nothing", "open", extra{}, http.StatusUnauthorized, "unauthorized")
		p.from(o, "key", "open", inHeader.bring(appKey), 0, "")
	default:
		p.from(o, "nothing", "open", extra{}, 0, "")
		p.from(o, "token", "room", inHeader.bring(credential), 0, "")
	}
	switch {
	case o.may == anonymous:
		p.from(o, "cookie", "room", withCookie, http.StatusUnauthorized, "unauthorized")
	case clears:
		p.from(o, "cookie", "room", withCookie, http.StatusForbidden, "forbidden")
	default:
		p.from(o, "cookie", "room", withCookie, 0, "")
	}
}

// from makes a request of a page, which is owed a status, or to be let in where that is 0; and the page is to see the
// answer if its origin may use the server.
func (p page) from(o origin, brings, kind string, e extra, status int, code string) {
	p.t.Helper()
	e = extra{lines: []string{"Origin: " + o.sent}}.and(e)
	got, _ := p.answered(p.way, e, kind, status, code, o.sent+" with "+brings)
	if got.status != http.StatusSwitchingProtocols && !got.told { // which no page sees
		p.shown(o, got)
	}
}

// shown fails the test unless an answer says to browsers what pages of an origin may see.
func (p page) shown(o origin, got answer) {
	p.t.Helper()
	to, cookies := got.header.Values("Access-Control-Allow-Origin"), got.header.Values("Access-Control-Allow-Credentials")
	wantTo, wantCookies := []string(nil), []string(nil)
	if o.may != refused {
		wantTo = []string{o.sent}
	}
	if o.may == credentialed {
		wantCookies = []string{"true"}
	}
	if !slices.Equal(to, wantTo) || !slices.Equal(cookies, wantCookies) || !slices.Contains(got.header.Values("Vary"), "Origin") {
		p.t.Errorf("%s: %d, %v", o.sent, got.status, got.header)
	}
}

// preflight asks as a browser does ahead of what a page wants to send.
func (p page) preflight(o origin) {
	p.t.Helper()
	asks := p.way
	asks.method, asks.header, asks.body = http.MethodOptions, []string{"Access-Control-Request-Method: " + p.way.method}, ""
	got := p.ask(asks, p.site.channel("open"), extra{lines: []string{"Origin: " + o.sent, "Access-Control-Request-Headers: authorization"}})
	p.shown(o, got)
	methods, headers := got.header.Get("Access-Control-Allow-Methods"), got.header.Get("Access-Control-Allow-Headers")
	if o.may == refused {
		if got.status != http.StatusForbidden || methods+headers != "" {
			p.t.Errorf("%s: the preflight is answered %d %v", o.sent, got.status, got.header)
		}
		return
	}
	if got.status != http.StatusNoContent || !slices.Contains(strings.Split(methods, ", "), p.way.method) || strings.Contains(headers, "*") {
		p.t.Errorf("%s: the preflight is answered %d %v", o.sent, got.status, got.header)
	}
	for _, name := range []string{"Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key"} {
		if !slices.Contains(strings.Split(headers, ", "), name) {
			p.t.Errorf("%s may not send %s: %s", o.sent, name, headers)
		}
	}
}

// Without an origin a browser says whether it asks for a page of the server's own. A cookie counts on reading requests
// of such pages, and of programs that are no browsers.
func TestCookiesWithoutAnOrigin(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	s := serve(t, server.Options{Access: policy(t, verifier(t, kit)), AllowOrigins: []string{"*", "null"}})
	withCookie := extra{lines: []string{"Cookie: " + cookie + "=" + callers(kit)[1].credential}}
	for _, w := range ways(t, nil) {
		if w.figures || w.action == access.Clear {
			continue // for keys
		}
		v := s.visitor(t)
		for site, counts := range map[string]bool{"": true, "same-origin": true, "same-site": false, "cross-site": false, "none": false, "Same-Origin": false,
			"same-origin\r\nSec-Fetch-Site: same-origin": false} {
			e := withCookie
			if site != "" {
				e = e.and(extra{lines: []string{"Sec-Fetch-Site: " + site}})
			}
			if counts && w.method == http.MethodGet {
				v.answered(w, e, "room", 0, "", w.name+" "+site)
			} else {
				v.answered(w, e, "room", http.StatusUnauthorized, "unauthorized", w.name+" "+site)
			}
		}
	}
}
