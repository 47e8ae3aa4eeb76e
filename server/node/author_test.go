package node_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// A message says which subject has published it, alone and in a batch, with rules and without,
// and neither a caller nor a hook can make it say anything else.
func TestMessagesSayWhoPublished(t *testing.T) {
	t.Parallel()
	forged := &broker.Author{Subject: "mallory", Session: "1"}
	forging := node.Hooks{OnPublish: func(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
		if m.By == forged || (m.By == nil) != (by.Subject == "") {
			t.Errorf("the hook is told %v of %q", m.By, by.Subject)
		}
		m.By = forged
		return m, nil
	}}
	for name, o := range map[string]node.Options{
		"open": {}, "rules": {Access: policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Anyone})}, "hooks": {Hooks: forging},
	} {
		n := ruled(t, withHistory(), o)
		for _, c := range []struct {
			by   *access.Caller
			want string
		}{{user("ana"), "ana"}, {access.Stranger, ""}, {access.Program, ""}, {backend("app", "bob"), "bob"}, {user(""), ""}} {
			client, m := n.Client(c.by, netip.Addr{}), broker.Message{Channel: "a", By: forged}
			for _, result := range append(client.Publish(t.Context(), m), client.PublishAllOrNone(t.Context(), m, m)...) {
				if result.Err != nil {
					t.Error(result.Err)
				}
			}
			page, err := n.Client(access.Program, netip.Addr{}).History(t.Context(), "a", broker.Query{Limit: 3})
			if err != nil || len(page.Messages) != 3 {
				t.Fatal(page, err)
			}
			for _, m := range page.Messages {
				if (m.By == nil) != (c.want == "") || m.By != nil && *m.By != (broker.Author{Subject: c.want}) {
					t.Errorf("%s: %q is said to be by %v", name, c.want, m.By)
				}
			}
		}
	}
}
