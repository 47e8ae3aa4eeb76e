package node_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// A credential is renewed by a token of the same subject and by nothing else, and what is refused
// changes nothing.
func TestRenew(t *testing.T) {
	t.Parallel()
	offered := map[string]*access.Caller{
		"same": user("ana", "b"), "other": user("bob", "a"), "key": backend("app", "ana"), "nobody": user(""),
	}
	o := node.Options{
		Access: policy(t, access.Rule{Channels: []string{"*"}, Subscribe: access.Grant}),
		Authenticate: func(_ context.Context, credential string) (*access.Caller, error) {
			if c := offered[credential]; c != nil {
				return c, nil
			}
			return nil, access.ErrUnauthorized
		},
	}
	n := ruled(t, withHistory(), o)
	c := n.Client(user("ana", "a"), netip.Addr{})
	for credential, want := range map[string]error{
		"other": transport.ErrOtherSubject, "key": transport.ErrOtherSubject, "nobody": transport.ErrOtherSubject, "made up": access.ErrUnauthorized,
	} {
		if _, err := c.Renew(t.Context(), credential); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", credential, err, want)
		}
		if c.Check(access.Subscribe, "a") != nil || c.Check(access.Subscribe, "b") == nil {
			t.Errorf("%s has changed something", credential)
		}
	}
	is, err := c.Renew(t.Context(), "same")
	if err != nil || is.Subject != "ana" || c.Check(access.Subscribe, "a") == nil || c.Check(access.Subscribe, "b") != nil {
		t.Errorf("renewed: %v, %v", is, err)
	}
	for name, stays := range map[string]*access.Caller{"a stranger": access.Stranger, "a backend": backend("app", "ana")} {
		if _, err := n.Client(stays, netip.Addr{}).Renew(t.Context(), "same"); !errors.Is(err, transport.ErrOtherSubject) {
			t.Errorf("%s: %v", name, err)
		}
	}
	open := ruled(t, withHistory(), node.Options{}).Client(access.Stranger, netip.Addr{})
	if is, err := open.Renew(t.Context(), "anything"); err != nil || is.Kind != transport.Stranger {
		t.Errorf("where everything is open: %v, %v", is, err)
	}
}

// The name of a connection is in what is published from the first call on, beside the subject, and
// those of two connections differ.
func TestMessagesNameTheirSession(t *testing.T) {
	t.Parallel()
	n := ruled(t, withHistory(), node.Options{})
	ana, stranger := n.Client(user("ana"), netip.Addr{}), n.Client(access.Stranger, netip.Addr{})
	if first := ana.Session(); first != ana.Session() || first == stranger.Session() {
		t.Error("the name of a connection changes, or is another's")
	}
	for _, c := range []struct {
		by   *node.Client
		want broker.Author
	}{{ana, broker.Author{Subject: "ana", Session: ana.Session()}}, {stranger, broker.Author{Session: stranger.Session()}}} {
		if err := c.by.Publish(t.Context(), broker.Message{Channel: "a"})[0].Err; err != nil {
			t.Fatal(err)
		}
		page, err := c.by.History(t.Context(), "a", broker.Query{Limit: 10})
		if err != nil || len(page.Messages) == 0 {
			t.Fatal(page, err)
		}
		if last := page.Messages[len(page.Messages)-1]; last.By == nil || *last.By != c.want {
			t.Errorf("by %v, want %v", last.By, c.want)
		}
	}
}
