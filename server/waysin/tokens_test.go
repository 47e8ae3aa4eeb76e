package waysin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/transport"
)

// sendable reports whether a credential can be sent so: what breaks a line, or is cut off from the end of one,
// would make another request of it.
func sendable(c carrier, credential string) bool {
	switch c.name {
	case inHeader.name:
		return strings.TrimSpace(credential) == credential && !strings.ContainsAny(credential, "\r\n\x00")
	case inCookie.name:
		return !strings.ContainsAny(credential, "\r\n\x00")
	}
	return true
}

// tooLong reports whether the answer is that of a request that is too long.
func (a answer) tooLong() bool {
	return a.status == http.StatusRequestURITooLong || a.status == http.StatusRequestHeaderFieldsTooLarge
}

// A token that is not valid is refused on every way in and however it comes, even where anyone may; a
// cookie that is not valid counts as none. No hook is asked, and no answer repeats the token.
func TestBadTokens(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	bad := kit.Bad()
	if len(bad) < 40 {
		t.Fatal("there are", len(bad), "tokens only")
	}
	own := map[string]transport.Maker{"spy": newSpy().make}
	s := serve(t, server.Options{Access: policy(t, verifier(t, kit)), Transports: own})
	s.visits(t, ways(t, own), func(v *visitor, w way) {
		for _, c := range carriers {
			for _, b := range bad {
				if v.canSend(c, b.Raw) {
					v.refused(w, c, b)
				}
			}
		}
	})
}

// refused fails the test unless a bad token is refused.
func (v *visitor) refused(w way, c carrier, b tokentest.Bad) {
	v.t.Helper()
	kind := "open"
	if c.name == inCookie.name {
		if kind = "room"; w.own {
			return // a stranger may use what is not of a channel
		}
	}
	channel := v.site.channel(kind)
	got := v.ask(w, channel, c.bring(b.Raw))
	challenge := got.header.Get("WWW-Authenticate")
	switch {
	case len(v.site.hooks.of(channel)) > 0:
		v.t.Errorf("%s in the %s: let in", b.Name, c.name)
	case len(b.Raw) > 8<<10 && got.tooLong(), w.opaque && got.status == http.StatusSwitchingProtocols:
	case got.status != http.StatusUnauthorized, got.code != "unauthorized":
		v.t.Errorf("%s in the %s: %d %s", b.Name, c.name, got.status, got.body)
	case got.told:
	case strings.Contains(challenge, "invalid_token") != (c.name != inCookie.name), !strings.HasPrefix(challenge, "Bearer "):
		v.t.Errorf("%s: the challenge is %q", b.Name, challenge)
	}
	for _, form := range formsOf(b.Raw) {
		if got.has(form) {
			v.t.Errorf("%s: the answer has it as %s: %v", b.Name, form, got)
		}
	}
}

// A caller is what a request may come with, and who it is then.
type caller struct {
	name, credential string
	who              transport.Identity // as far as the hooks are to see it
	rooms            bool               // what it is granted, or its key is for
}

// callers returns those that there are.
func callers(kit *tokentest.Kit) []caller {
	granted := func(subject, pattern string) tokentest.Object {
		grants := `{"subscribe":["` + pattern + `"],"publish":["` + pattern + `"]}`
		return kit.Claims().With("sub", tokentest.Text(subject)).With("pregon", grants)
	}
	user := func(subject string) transport.Identity {
		return transport.Identity{Kind: transport.User, Subject: subject}
	}
	key := func(name string) transport.Identity { return transport.Identity{Kind: transport.Backend, Key: name} }
	return []caller{
		{"nobody", "", transport.Identity{}, false},
		{"a token of HS256", kit.HS256(granted("u1", "room.*")), user("u1"), true},
		{"a token of RS256", kit.RS256(granted("u1", "room.*")), user("u1"), true},
		{"a token for another channel", kit.HS256(granted("u1", "other.*")), user("u1"), false},
		{"a token for a channel within", kit.HS256(granted("u1", "room.*.x")), user("u1"), false},
		{"another subject's token", kit.HS256(granted("u2", "room.*")), user("u2"), true},
		{"a token of a subject with a separator", kit.HS256(granted("u1.x", "room.*")), user("u1.x"), true},
		{"a token without a subject", kit.HS256(granted("u1", "room.*").Without("sub")), user(""), true},
		{"a key", appKey, key("app"), true},
		{"a key for rooms", narrowKey, key("rooms"), true},
	}
}

// owed returns the status that refuses a caller, 0 where it is let in.
func (c caller) owed(w way, kind string) int {
	switch kind, _, _ = strings.Cut(kind, "."); {
	case c.who.Key == "app", c.who.Kind == transport.Backend && (w.figures || kind == "room"):
		return 0
	case c.who.Kind == transport.Backend:
		return http.StatusForbidden
	case w.action != access.Clear && !w.figures && c.mayAsUser(kind):
		return 0
	case c.who.Kind == transport.Stranger:
		return http.StatusUnauthorized
	}
	return http.StatusForbidden
}

func (c caller) mayAsUser(kind string) bool {
	return kind == "open" || kind == "room" && c.rooms || kind == "user" && c.who.Kind == transport.User && c.who.Subject == "u1"
}

// kinds are of channels: for anyone, for those who are granted it, for one subject, and without a rule.
var kinds = []string{"open", "room", "user.u1", "else"}

// Whoever has a valid credential may what the rules say on every way in, however it brings it, and nothing else:
// who may not is answered 403, and without a credential 401. Keys count in the header alone.
func TestCallers(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	s := serve(t, server.Options{Access: policy(t, verifier(t, kit))})
	s.visits(t, ways(t, nil), func(v *visitor, w way) {
		for _, c := range callers(kit) {
			for _, by := range carriers {
				for _, kind := range kinds {
					v.treatedAsOwed(w, c, by, kind)
				}
			}
		}
	})
}

// treatedAsOwed fails the test unless a caller is let in, or refused.
func (v *visitor) treatedAsOwed(w way, c caller, by carrier, kind string) {
	v.t.Helper()
	if w.ruled && kind == "else" && c.who.Kind == transport.Backend {
		return // it may, but there is nothing
	}
	e := extra{}
	switch isKey := c.who.Kind == transport.Backend; {
	case c.credential == "":
	case isKey && by.name == inCookie.name, w.figures && by.name == inCookie.name: // a page of ours does not need them
		e, c = by.bring(c.credential), caller{name: c.name}
	case isKey && by.name != inHeader.name:
		v.answered(w, by.bring(c.credential), kind, http.StatusUnauthorized, "unauthorized", c.name+" in the "+by.name)
		return
	default:
		e = by.bring(c.credential)
	}
	code := map[int]string{http.StatusUnauthorized: "unauthorized", http.StatusForbidden: "forbidden"}
	owed := c.owed(w, kind)
	_, calls := v.answered(w, e, kind, owed, code[owed], c.name+" in the "+by.name)
	if owed == 0 && !w.figures && !w.plain && (calls[0].by.Kind != c.who.Kind || calls[0].by.Subject != c.who.Subject || calls[0].by.Key != c.who.Key) {
		v.t.Errorf("%s is taken for %v", c.name, calls[0].by)
	}
}

// answered fails the test unless a request for a channel of a kind gets a status, with nobody let in, or is let in
// where the status is 0. It returns the answer and the calls of the hooks.
func (v *visitor) answered(w way, e extra, kind string, status int, code, name string) (answer, []call) {
	v.t.Helper()
	channel := v.site.channel(kind)
	got := v.ask(w, channel, e)
	calls := v.site.hooks.of(channel)
	refusal := got.status == http.StatusUnauthorized || got.status == http.StatusForbidden || got.status == http.StatusBadRequest && got.code != "bad_handshake"
	switch {
	case status == 0 && (refusal || len(calls) == 0 && !w.plain && !w.figures):
		v.t.Fatalf("%s, %s: refused: %d %s", name, kind, got.status, got.body)
	case status != 0 && len(calls) > 0:
		v.t.Errorf("%s, %s: let in", name, kind)
	case status == 0, w.opaque && got.status == http.StatusSwitchingProtocols:
	case got.status != status || got.code != code:
		v.t.Errorf("%s, %s: %d %s, want %d", name, kind, got.status, got.body, status)
	}
	return got, calls
}

// Of the header, the subprotocol and the query one may be used, once, and any of them beats the cookie.
func TestPairsOfCredentials(t *testing.T) {
	t.Parallel()
	kit := tokentest.NewKit(time.Now())
	rooms := callers(kit)[1].credential
	other := kit.HS256(kit.Claims().With("pregon", `{"subscribe":["x"],"publish":["x"]}`))
	forged := kit.HS256(kit.Claims().With("exp", "1"))
	s := serve(t, server.Options{Access: policy(t, verifier(t, kit))})
	s.visits(t, ways(t, nil), func(v *visitor, w way) {
		for _, one := range explicit {
			for _, two := range explicit {
				v.answered(w, one.bring(rooms).and(two.bring(rooms)), "room", http.StatusBadRequest, "two_credentials", one.name+" and "+two.name)
			}
			v.answered(w, one.bring(forged).and(inCookie.bring(rooms)), "room", http.StatusUnauthorized, "unauthorized", "forged "+one.name+" beside a cookie")
			v.answered(w, one.bring(other).and(inCookie.bring(rooms)), "room", http.StatusForbidden, "forbidden", "other "+one.name+" beside a cookie")
			if w.action != access.Clear && !w.figures {
				v.answered(w, one.bring(rooms).and(inCookie.bring(forged)), "room", 0, "", one.name+" beside a forged cookie")
			}
		}
	})
}
