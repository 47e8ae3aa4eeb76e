package access_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/transport"
)

const secretOfApp = "app-app-app-app-app-app"

// keyed returns the Policy that has one key, which may subscribe some patterns.
func keyed(t *testing.T, name, secret string, subscribe ...string) *access.Policy {
	t.Helper()
	digest, err := access.DigestOf(secret)
	if err != nil {
		t.Fatal(err)
	}
	p, err := access.New(access.Config{Keys: []access.Key{{Name: name, Digest: digest, Subscribe: subscribe}}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Another policy decides of a key's Caller by what the key may now, and where it is gone by
// nothing: another credential would help.
func TestKeysAfterAReload(t *testing.T) {
	t.Parallel()
	before := keyed(t, "app", secretOfApp, "a")
	caller, err := before.Authenticate(t.Context(), secretOfApp, true)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		after       *access.Policy
		known, a, b bool
	}{
		"the same":       {keyed(t, "app", secretOfApp, "a"), true, true, false},
		"other patterns": {keyed(t, "app", secretOfApp, "b"), true, false, true},
		"no patterns":    {keyed(t, "app", secretOfApp), true, true, true},
		"another secret": {keyed(t, "app", secretOfApp+"2"), false, false, false},
		"open":           {access.Open(), true, true, true},
	} {
		for channel, may := range map[string]bool{"a": c.a, "b": c.b} {
			decided, reviewed := c.after.Decide(caller, access.Subscribe, channel), c.after.Review(caller, channel)
			if decided.Allowed() != may || reviewed.Allowed() != may {
				t.Errorf("%s: %s: %v, %v", name, channel, decided, reviewed)
			}
			if err := decided.Err(); !c.known && (!errors.Is(err, access.ErrUnauthorized) || decided.Reason != access.CredentialUnknown) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// Between the end of a credential and that of its connections, nothing new is allowed and
// what is heard is heard on.
func TestExpiredHearOn(t *testing.T) {
	t.Parallel()
	p, err := access.New(access.Config{Rules: []access.Rule{{Channels: []string{"a"}, Subscribe: access.Token}}})
	if err != nil {
		t.Fatal(err)
	}
	c := access.NewCaller(transport.Identity{Kind: transport.User, Expires: time.Now().Add(-time.Second)})
	if p.Decide(c, access.Subscribe, "a").Allowed() || !p.Review(c, "a").Allowed() || p.Review(c, "b").Allowed() {
		t.Error(p.Decide(c, access.Subscribe, "a"), p.Review(c, "a"), p.Review(c, "b"))
	}
}

// Policies of the same keys and rules have the same hash, wherever these stand, and others do not.
func TestPoliciesAreCompared(t *testing.T) {
	t.Parallel()
	hash := func(key access.Key, rule access.Rule) string {
		p, err := access.New(access.Config{Keys: []access.Key{key}, Rules: []access.Rule{rule}})
		if err != nil {
			t.Fatal(err)
		}
		return p.Hash()
	}
	key, rule := access.Key{Name: "app", Digest: [32]byte{1}}, access.Rule{Line: 1, Channels: []string{"a"}}
	same := hash(key, rule)
	if hash(key, access.Rule{Line: 2, Channels: []string{"a"}}) != same {
		t.Error("the line counts")
	}
	for what, other := range map[string]string{
		"a key":     hash(access.Key{Name: "app", Digest: [32]byte{2}}, rule),
		"a pattern": hash(key, access.Rule{Channels: []string{"b"}}),
		"a right":   hash(key, access.Rule{Channels: []string{"a"}, Publish: access.Anyone}),
		"presence":  hash(key, access.Rule{Channels: []string{"a"}, Presence: true}),
		"nothing":   access.Open().Hash(),
	} {
		if other == same {
			t.Errorf("%s does not count", what)
		}
	}
}
