package access_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

func policy(t testing.TB, c access.Config) *access.Policy {
	t.Helper()
	p, err := access.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func digest(t testing.TB, secret string) [32]byte {
	t.Helper()
	d, err := access.DigestOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A tokens knows tokens by their text, and no issuer but the zero one.
type tokens map[string]token.Claims

func (t tokens) Verify(_ context.Context, raw string) (token.Claims, error) {
	if claims, ok := t[raw]; ok {
		return claims, nil
	}
	return token.Claims{}, token.ErrInvalid
}

func (t tokens) Trusts(issuer token.Fingerprint) bool {
	for _, claims := range t {
		if claims.Issuer == issuer {
			return true
		}
	}
	return false
}

func user(subject string, subscribe, publish []string) *access.Caller {
	return access.NewCaller(transport.Identity{Kind: transport.User, Subject: subject, Subscribe: subscribe, Publish: publish})
}

func backend(subscribe, publish []string) *access.Caller {
	return access.NewCaller(transport.Identity{Kind: transport.Backend, Subscribe: subscribe, Publish: publish})
}

var rules = []access.Rule{
	{Line: 1, Channels: []string{"news.secret"}},
	{Line: 2, Channels: []string{"news.**"}, Subscribe: access.Anyone},
	{Line: 3, Channels: []string{"user.{sub}", "user.{sub}.**"}, Subscribe: access.Token, Publish: access.Grant},
	{Line: 4, Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant},
	{Line: 5, Channels: []string{"room.1", "lobby"}, Subscribe: access.Anyone, Publish: access.Token},
	{Line: 6, Channels: []string{"*.open"}, Subscribe: access.Anyone, Publish: access.Anyone},
}

// The first rule that has the channel decides for all callers; keys are bounded by their own
// patterns alone; and the reason is told with the rule's line.
func TestDecide(t *testing.T) {
	ana := user("ana", []string{"room.*", "other.*"}, []string{"user.**", "room.2"})
	nobody := user("", []string{"**"}, []string{"**"})
	dotted := user("ana.x", nil, nil)
	p := policy(t, access.Config{Tokens: tokens{}, Rules: rules})
	for _, c := range []struct {
		caller  *access.Caller
		action  access.Action
		channel string
		reason  access.Reason
		line    int
	}{
		{access.Stranger, access.Subscribe, "news.a.b", access.AnyoneMay, 2},
		{ana, access.Subscribe, "news.a", access.AnyoneMay, 2},
		{nobody, access.Subscribe, "news.secret", access.OnlyKeysMay, 1}, // no later rule is tried
		{ana, access.Publish, "news.a", access.OnlyKeysMay, 2},
		{access.Stranger, access.Subscribe, "user.ana", access.NoCredential, 3},
		{ana, access.Subscribe, "user.ana", access.AnyTokenMay, 3},
		{ana, access.Subscribe, "user.ana.inbox", access.AnyTokenMay, 3},
		{ana, access.Subscribe, "user.bob", access.OtherSubject, 3},
		{ana, access.Subscribe, "user.ana2", access.OtherSubject, 3},
		{nobody, access.Subscribe, "user.ana", access.OtherSubject, 3},
		{dotted, access.Subscribe, "user.ana.x", access.OtherSubject, 3},
		{ana, access.Publish, "user.ana", access.TokenGrants, 3},
		{ana, access.Publish, "user.bob", access.OtherSubject, 3}, // though it is granted
		{dotted, access.Publish, "user.ana", access.OtherSubject, 3},
		{ana, access.Subscribe, "room.1", access.TokenGrants, 4}, // and not the rule behind it
		{access.Stranger, access.Subscribe, "room.1", access.NoCredential, 4},
		{access.Stranger, access.Subscribe, "lobby", access.AnyoneMay, 5},
		{ana, access.Publish, "room.1", access.NotGranted, 4},
		{ana, access.Publish, "room.2", access.TokenGrants, 4},
		{ana, access.Publish, "lobby", access.AnyTokenMay, 5},
		{access.Stranger, access.Publish, "a.open", access.AnyoneMay, 6},
		{access.Stranger, access.Subscribe, "room.open", access.NoCredential, 4},
		{ana, access.Subscribe, "other.1", access.NoRule, 0}, // a grant is nothing without a rule
		{access.Stranger, access.Subscribe, "other.1", access.NoRule, 0},
		{ana, access.Clear, "user.ana", access.OnlyKeysMay, 3},
		{access.Stranger, access.Clear, "a.open", access.OnlyKeysMay, 6},
		{access.Program, access.Publish, "other.1", access.KeyMay, 0},
		{access.Program, access.Clear, "news.secret", access.KeyMay, 0},
		{access.Program, access.Publish, "__pregon", access.NoRule, 0},
		{backend(nil, []string{"room.*"}), access.Publish, "room.1", access.KeyMay, 0},
		{backend(nil, []string{"room.*"}), access.Clear, "room.1", access.KeyMay, 0},
		{backend(nil, []string{"room.*"}), access.Publish, "news.a", access.NotOfKey, 0},
		{backend(nil, []string{"room.*"}), access.Subscribe, "room.1", access.NotOfKey, 0},
		{backend(nil, []string{"room.*"}), access.Subscribe, "lobby", access.NotOfKey, 0}, // which anyone may
		{backend([]string{"**"}, nil), access.Subscribe, "room.1", access.KeyMay, 0},
		{backend([]string{"**"}, nil), access.Clear, "room.1", access.NotOfKey, 0},
		{backend([]string{"room*"}, nil), access.Subscribe, "room", access.NotOfKey, 0},
		{nobody, access.Subscribe, "__pregon", access.NoRule, 0},
	} {
		d := p.Decide(c.caller, c.action, c.channel)
		line := 0
		if d.Rule != nil {
			line = d.Rule.Line
		}
		if d.Reason != c.reason || line != c.line || d.Allowed() != (c.reason < access.NoRule) {
			t.Errorf("%v %v %s: %v (%d)", c.caller.Identity(), c.action, c.channel, d, d.Reason)
		}
		err := d.Err()
		stranger := c.caller.Identity().Kind == transport.Stranger
		if (err == nil) != d.Allowed() || err != nil && (errors.Is(err, access.ErrUnauthorized) != stranger || errors.Is(err, access.ErrForbidden) == stranger || !errors.Is(err, broker.ErrDenied)) {
			t.Errorf("%s: %v", c.channel, err)
		}
		if err != nil && (strings.Contains(err.Error(), c.channel) && !strings.HasPrefix(c.channel, "news.secret") && c.channel != "room.1" || d.Detail() == "") {
			t.Errorf("%s: %v", c.channel, err)
		}
		if line > 0 && !strings.Contains(d.String(), fmt.Sprintf("line %d for %s", line, rules[line-1].Channels[0])) {
			t.Error(d)
		}
	}
}

// Without rules there is one for all channels, which depends on whether there are tokens.
func TestNoRules(t *testing.T) {
	granted := user("ana", []string{"a"}, nil)
	for _, c := range []struct {
		config access.Config
		caller *access.Caller
		action access.Action
		want   bool
	}{
		{access.Config{}, access.Stranger, access.Subscribe, true}, {access.Config{}, access.Stranger, access.Publish, false},
		{access.Config{}, access.Program, access.Publish, true},
		{access.Config{Tokens: tokens{}}, access.Stranger, access.Subscribe, false}, {access.Config{Tokens: tokens{}}, granted, access.Subscribe, true},
		{access.Config{Tokens: tokens{}}, granted, access.Publish, false},
		{access.Config{Rules: []access.Rule{}}, access.Stranger, access.Subscribe, false}, // none is none
	} {
		if got := policy(t, c.config).Decide(c.caller, c.action, "a"); got.Allowed() != c.want {
			t.Errorf("%v: %v", c, got)
		}
	}
	if open := access.Open(); !open.IsOpen() || !open.Decide(access.Stranger, access.Clear, "a").Allowed() {
		t.Error("what is open is not")
	}
}

// A credential that has expired is good for nothing.
func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := policy(t, access.Config{Rules: rules})
		for _, kind := range []transport.Kind{transport.User, transport.Backend} {
			c := access.NewCaller(transport.Identity{Kind: kind, Expires: time.Now().Add(time.Second)})
			if d := p.Decide(c, access.Subscribe, "news.a"); !d.Allowed() {
				t.Error(d)
			}
			time.Sleep(time.Second)
			d := p.Decide(c, access.Subscribe, "news.a")
			if d.Allowed() || !errors.Is(d.Err(), access.ErrUnauthorized) {
				t.Error(d)
			}
		}
	})
}

// Each kind of credential is tried as that and as nothing else, and keys only in a header.
func TestAuthenticate(t *testing.T) {
	const secret = "abcdefghijklmnopqrst-_09"
	p := policy(t, access.Config{
		Keys:   []access.Key{{Name: "app", Digest: digest(t, secret), Publish: []string{"a.*"}}, {Name: "other", Digest: digest(t, secret+"x")}},
		Tokens: tokens{"eyJ.a.b": {Subject: "ana"}},
	})
	for _, c := range []struct {
		credential string
		inHeader   bool
		key, sub   string
	}{
		{secret, true, "app", ""}, {secret + "x", true, "other", ""}, {"eyJ.a.b", false, "", "ana"}, {"eyJ.a.b", true, "", "ana"},
		{secret, false, "", ""}, {secret[:23], true, "", ""}, {"", true, "", ""}, {"eyJ.a.c", true, "", ""}, {"pgt_" + secret, true, "", ""}, {"eyJ.a", true, "", ""},
	} {
		caller, err := p.Authenticate(t.Context(), c.credential, c.inHeader)
		if want := c.key + c.sub; (err == nil) != (want != "") {
			t.Errorf("%s: %v", c.credential, err)
		} else if err == nil && (caller.Identity().Key != c.key || caller.Identity().Subject != c.sub) {
			t.Errorf("%s: %v", c.credential, caller.Identity())
		}
		if err != nil && (!errors.Is(err, access.ErrUnauthorized) || c.credential != "" && strings.Contains(err.Error(), c.credential)) {
			t.Error(err)
		}
	}
	if _, err := access.Open().Authenticate(t.Context(), secret, true); !errors.Is(err, access.ErrUnauthorized) {
		t.Error("an open server has no keys", err)
	}
	if _, err := access.Open().Authenticate(t.Context(), "eyJ.a.b", true); !errors.Is(err, access.ErrUnauthorized) {
		t.Error(err)
	}
}

// Another policy sees a caller as it would be let in now: with what its key may now, and not
// at all where its key or its token's issuer has gone.
func TestRenew(t *testing.T) {
	const secret = "abcdefghijklmnopqrst"
	one, two := token.Fingerprint{1}, token.Fingerprint{2}
	key := func(publish ...string) []access.Key {
		return []access.Key{{Name: "app", Digest: digest(t, secret), Publish: publish}}
	}
	before := policy(t, access.Config{Keys: key(), Tokens: tokens{"eyJ.a.b": {Issuer: one}, "eyJ.c.d": {Issuer: two}}})
	after := policy(t, access.Config{Keys: key("a"), Tokens: tokens{"": {Issuer: one}}})
	for credential, stays := range map[string]bool{secret: true, "eyJ.a.b": true, "eyJ.c.d": false} {
		caller, err := before.Authenticate(t.Context(), credential, true)
		if err != nil {
			t.Fatal(err)
		}
		renewed, ok := after.Renew(caller)
		if ok != stays {
			t.Errorf("%s: %v", credential, ok)
		}
		if credential == secret && (!after.Decide(renewed, access.Publish, "a").Allowed() || after.Decide(renewed, access.Publish, "b").Allowed()) {
			t.Error("a key may what it could before")
		}
		if _, ok := policy(t, access.Config{}).Renew(caller); ok {
			t.Errorf("%s counts with nothing that is known", credential)
		}
		if _, ok := access.Open().Renew(caller); !ok {
			t.Errorf("%s does not count where everything is open", credential)
		}
	}
	for _, caller := range []*access.Caller{access.Stranger, access.Program, user("ana", nil, nil)} {
		if renewed, ok := after.Renew(caller); !ok || renewed != caller {
			t.Error(caller.Identity())
		}
	}
}

// A token that comes again is the same Caller, and another one is not, however many come between.
func TestCallersOfTokens(t *testing.T) {
	known := tokens{}
	for i := range 5000 {
		known[fmt.Sprint("eyJ.", i, ".")] = token.Claims{ID: [32]byte{1, byte(i), byte(i >> 8)}, Subject: fmt.Sprint(i)}
	}
	p := policy(t, access.Config{Tokens: known})
	of := func(i int) *access.Caller {
		c, err := p.Authenticate(t.Context(), fmt.Sprint("eyJ.", i, "."), true)
		if err != nil || c.Identity().Subject != fmt.Sprint(i) {
			t.Fatal(i, c, err)
		}
		return c
	}
	first := of(0)
	for i := range 5000 {
		if of(i); i%500 == 0 && of(0) != first {
			t.Fatal("a token that is in use is read again")
		}
	}
}

// What cannot be meant is refused, and no secret is quoted.
func TestConfigsThatAreRefused(t *testing.T) {
	good := digest(t, strings.Repeat("a", 20))
	for name, c := range map[string]access.Config{
		"two keys of a name":     {Keys: []access.Key{{Name: "a", Digest: good}, {Name: "a"}}},
		"two keys of a secret":   {Keys: []access.Key{{Name: "a", Digest: good}, {Name: "b", Digest: good}}},
		"a key with {sub}":       {Keys: []access.Key{{Name: "a", Digest: good, Publish: []string{"user.{sub}"}}}},
		"a key with half a star": {Keys: []access.Key{{Name: "a", Digest: good, Subscribe: []string{"user*"}}}},
		"a rule without":         {Rules: []access.Rule{{}}},
		"a rule with half":       {Rules: []access.Rule{{Channels: []string{"a", "b*"}}}},
		"{sub} is anyone":        {Rules: []access.Rule{{Channels: []string{"a.{sub}"}, Subscribe: access.Anyone}}},
		"{sub} is anyone, too":   {Rules: []access.Rule{{Channels: []string{"a.{sub}"}, Publish: access.Anyone}}},
	} {
		if _, err := access.New(c); !errors.Is(err, access.ErrKey) && !errors.Is(err, access.ErrRule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, secret := range []string{"", "short", strings.Repeat("a", 19), strings.Repeat("a", 19) + " ", strings.Repeat("ñ", 20), "pgt_" + strings.Repeat("a", 20)} {
		if _, err := access.DigestOf(secret); !errors.Is(err, access.ErrKey) || len(secret) > 5 && strings.Contains(err.Error(), secret) {
			t.Errorf("%q: %v", secret, err)
		}
	}
	if got := access.Covered(append(rules, access.Rule{Channels: []string{"room.x", "new"}}, access.Rule{Channels: []string{"news.a.*"}})); len(got) != 3 ||
		got[[2]int{4, 0}] != 3 || got[[2]int{6, 0}] != 3 || got[[2]int{7, 0}] != 1 {
		t.Error(got)
	}
}

// Rates are read as they are written.
func TestParseRate(t *testing.T) {
	for text, want := range map[string]access.Rate{"5/s": {5, time.Second}, "300/m": {300, time.Minute}, "1/h": {1, time.Hour}} {
		if got, err := access.ParseRate(text); err != nil || got != want || got.String() != text {
			t.Error(text, got, err)
		}
	}
	for _, text := range []string{"", "5", "/s", "5/", "0/s", "-1/s", "+5/s", "5/d", "1e9/s", "5/s/s", "1000001/s", "5 /s"} {
		if _, err := access.ParseRate(text); !errors.Is(err, access.ErrRate) {
			t.Error(text, err)
		}
	}
	for _, word := range access.Whos() {
		if who, ok := access.ParseWho(word); !ok || who.String() != word {
			t.Error(word)
		}
	}
	if _, ok := access.ParseWho("everyone"); ok {
		t.Error("everyone")
	}
}

// hundred is a policy of 100 rules, the last of which has the channels that are asked for.
func hundred(t testing.TB) *access.Policy {
	c := access.Config{Tokens: tokens{}}
	for i := range 49 {
		c.Rules = append(c.Rules, access.Rule{Channels: []string{fmt.Sprintf("kind%d.**", i)}, Subscribe: access.Anyone},
			access.Rule{Channels: []string{fmt.Sprintf("*.kind%d.*", i)}, Subscribe: access.Grant})
	}
	c.Rules = append(c.Rules, access.Rule{Channels: []string{"user.{sub}", "user.{sub}.**"}, Subscribe: access.Token},
		access.Rule{Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant})
	return policy(t, c)
}

// A decision allocates nothing, whatever it is.
func TestDecideAllocates(t *testing.T) {
	p, c := hundred(t), user("ana", []string{"room.*"}, nil)
	for _, channel := range []string{"room.1", "user.ana", "user.bob", "kind7.a.b", "a.kind7.b", "none.of.them", "lobby"} {
		if n := testing.AllocsPerRun(100, func() { p.Decide(c, access.Subscribe, channel); p.Rule(channel) }); n > 0 {
			t.Errorf("%s: %v allocations", channel, n)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p, c := hundred(b), user("ana", []string{"lobby", "room.*"}, nil)
	for _, channel := range []string{"room.1", "user.ana.inbox", "none.of.them"} {
		b.Run(channel, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Decide(c, access.Subscribe, channel)
			}
		})
	}
}
