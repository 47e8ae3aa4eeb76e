package node_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

func backend(name, subject string) *access.Caller {
	return access.NewCaller(transport.Identity{Kind: transport.Backend, Key: name, Subject: subject})
}

// A key of a subject is that subject's own, backends share theirs, whomever they act for, and
// so have strangers, and tokens without a subject: so no client can silence a message by
// guessing its key. Where everything is open, a key is a key.
func TestKeysAreTheirPublishers(t *testing.T) {
	t.Parallel()
	anyone := policy(t, access.Rule{Channels: []string{"a"}, Subscribe: access.Anyone, Publish: access.Anyone})
	callers := map[string]*access.Caller{
		"ana": user("ana"), "ana again": user("ana", "grants"), "bob": user("bob"), "an": user("an"),
		"a token without a subject": user(""), "a stranger": access.Stranger, "the program": access.Program,
		"a backend": backend("app", ""), "another backend": backend("ops", "ana"),
	}
	for name, c := range map[string]struct {
		policy *access.Policy
		shared [][]string
	}{
		"rules": {anyone, [][]string{
			{"ana", "ana again"}, {"bob"}, {"an"}, {"a token without a subject"}, {"a stranger"}, {"the program", "a backend", "another backend"},
		}},
		"open": {access.Open(), [][]string{{
			"ana", "ana again", "bob", "an", "a token without a subject", "a stranger", "the program", "a backend", "another backend",
		}}},
	} {
		for _, key := range []string{"k", strings.Repeat("x", broker.MaxKey), "own:k", "a k"} {
			n, taken := ruled(t, withHistory(), node.Options{Access: c.policy}), map[broker.Position]string{}
			for _, together := range c.shared {
				var first broker.Position
				for i, who := range together {
					result := n.Client(callers[who], netip.Addr{}).Publish(t.Context(), broker.Message{Channel: "a", Data: []byte(who), Key: key})[0]
					switch at := result.Receipt.Position; {
					case result.Err != nil:
						t.Fatalf("%s: %s: %v", name, who, result.Err)
					case result.Receipt.Repeated != (i > 0):
						t.Errorf("%s: %s has the key %.4s: repeated is %v", name, who, key, i == 0)
					case i > 0 && at != first:
						t.Errorf("%s: %s got the receipt of %s", name, who, taken[at])
					case i == 0:
						first = at
						taken[at] = who
					}
				}
			}
			if page, err := n.Client(access.Program, netip.Addr{}).History(t.Context(), "a", broker.Query{Limit: 100}); err != nil || len(page.Messages) != len(c.shared) {
				t.Errorf("%s: %d messages, want %d, %v", name, len(page.Messages), len(c.shared), err)
			}
		}
	}
}

// Other keys of one subject are others, in a batch, too, and a subject and a key that
// together read like another pair are not that.
func TestKeysOfASubjectDiffer(t *testing.T) {
	t.Parallel()
	n := ruled(t, withHistory(), node.Options{Access: policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Anyone})})
	publish := func(subject string, keys ...string) (repeated []bool) {
		var ms []broker.Message
		for _, key := range keys {
			ms = append(ms, broker.Message{Channel: "a", Key: key})
		}
		for _, result := range n.Client(user(subject), netip.Addr{}).Publish(t.Context(), ms...) {
			if result.Err != nil {
				t.Error(result.Err)
			}
			repeated = append(repeated, result.Receipt.Repeated)
		}
		return repeated
	}
	for _, c := range []struct {
		subject string
		keys    []string
		want    []bool
	}{
		{"an", []string{"ab", "b"}, []bool{false, false}},
		{"ana", []string{"b", "b"}, []bool{false, true}},
		{"a", []string{"nab"}, []bool{false}},
		{"an", []string{"b", "c"}, []bool{true, false}},
	} {
		for i, repeated := range publish(c.subject, c.keys...) {
			if repeated != c.want[i] {
				t.Errorf("%s with %s: repeated is %v", c.subject, c.keys[i], repeated)
			}
		}
	}
}

// A hook sees the key that the publisher gave, and the one that it gives instead is the
// publisher's own, too.
func TestHooksSeeKeysAsGiven(t *testing.T) {
	t.Parallel()
	n := ruled(t, withHistory(), node.Options{Access: policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Anyone}),
		Hooks: node.Hooks{OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
			if m.Key != "given" {
				t.Errorf("the hook sees %q", m.Key)
			}
			m.Key = "changed"
			return m, nil
		}}})
	for _, c := range []struct {
		by       *access.Caller
		repeated bool
	}{{access.Program, false}, {user("ana"), false}, {user("ana"), true}} {
		result := n.Client(c.by, netip.Addr{}).Publish(t.Context(), broker.Message{Channel: "a", Key: "given"})[0]
		if result.Err != nil || result.Receipt.Repeated != c.repeated {
			t.Error(c.by.Identity(), result)
		}
	}
}
