package node_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// presentLines are lines that can tell who is in a channel.
type presentLines struct{ lines }

func (presentLines) Members(m transport.Members) []byte {
	return fmt.Appendf(nil, "members %s\n", named(m))
}

func (presentLines) Presence(p transport.Presence) []byte {
	names := []string{}
	for _, m := range p.Joined {
		names = append(names, m.Subject+string(m.Info))
	}
	slices.Sort(names)
	return fmt.Appendf(nil, "joined %v left %v\n", names, p.Left)
}

func named(m transport.Members) string {
	words := []string{}
	for _, one := range m.Members {
		words = append(words, fmt.Sprintf("%s%s*%d", one.Subject, one.Info, one.Connections))
	}
	if m.Incomplete {
		words = append(words, "?")
	}
	return strings.Join(words, " ")
}

// A visit is a session in a house.
type visit struct {
	*listener
	*node.Client
}

// visit has a caller join, and subscribe.
func (h *house) visit(by *access.Caller, subs ...transport.Subscription) (visit, []error) {
	h.t.Helper()
	l, s, c := &listener{over: make(chan struct{})}, h.sockets.New(), h.Client(by, netip.Addr{})
	s.Attach(l)
	session, err := c.Join(h.t.Context(), transport.Subscriber{Socket: s, Encoding: presentLines{}, Control: lines{}})
	if err != nil {
		h.t.Fatal(err)
	}
	errs := session.Subscribe(h.t.Context(), subs...)
	s.Uncork()
	l.session = session
	h.open = append(h.open, func() { session.Leave(); _ = s.Close() })
	return visit{l, c}, errs
}

// is returns who is in a channel.
func (h *house) is(channel string) string {
	h.t.Helper()
	m, err := h.Client(access.Program, netip.Addr{}).Members(h.t.Context(), channel, transport.MembersQuery{})
	if err != nil {
		return err.Error()
	}
	return named(m)
}

func wants(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func rooms(presence bool) access.Rule {
	return access.Rule{Channels: []string{"*"}, Subscribe: access.Anyone, Presence: presence}
}

// Callers with a subject are members of what they subscribe, with as many connections as they have
// there; strangers are nobody. Who asks is told; a lost connection stays for two seconds.
func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, memory.New(), policy(t, rooms(true)))
		defer h.close()
		time.Sleep(6 * time.Second)
		ana, _ := h.visit(user("ana"), transport.Subscription{Channel: "a"}, transport.Subscription{Channel: "b"})
		again, _ := h.visit(user("ana"), transport.Subscription{Channel: "a"})
		watcher, errs := h.visit(access.Stranger, transport.Subscription{Channel: "a", Presence: true})
		if errs[0] != nil {
			t.Fatal(errs)
		}
		h.visit(backend("app", "bob"), transport.Subscription{Channel: "a"})
		wants(t, "a", h.is("a"), "ana*2 bob*1")
		wants(t, "b", h.is("b"), "ana*1")
		time.Sleep(time.Second)
		again.session.Unsubscribe("a", nil)
		wants(t, "one unsubscribed", h.is("a"), "ana*1 bob*1")
		ana.session.Leave()
		time.Sleep(time.Second)
		wants(t, "lost", h.is("b"), "ana*1")
		wants(t, "told", strings.Join(watcher.all(), "; "), "members ana*2 bob*1")
		time.Sleep(2 * time.Second)
		wants(t, "gone", h.is("a")+h.is("b"), "bob*1")
		again.session.Subscribe(t.Context(), transport.Subscription{Channel: "a"})
		again.session.Unsubscribe("a", nil)
		time.Sleep(time.Second)
		wants(t, "told", strings.Join(watcher.all(), "; "), "members ana*2 bob*1; joined [] left [ana]")
	})
}

// Where a rule has no presence nobody is told who is there, and neither is who may not subscribe.
func TestNoPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		secret := access.Rule{Channels: []string{"secret.*"}, Subscribe: access.Grant, Presence: true}
		h := newHouse(t, memory.New(), policy(t, secret, rooms(false)))
		defer h.close()
		for _, c := range []struct {
			by      *access.Caller
			channel string
			want    error
		}{
			{access.Stranger, "a", transport.ErrNoPresence},
			{user("ana"), "a", transport.ErrNoPresence},
			{access.Program, "elsewhere.a", transport.ErrNoPresence}, // no rule
			{user("ana"), "secret.a", access.ErrForbidden},
			{access.Stranger, "secret.a", access.ErrUnauthorized},
			{user("ana", "secret.a"), "secret.a", nil},
		} {
			v, errs := h.visit(c.by, transport.Subscription{Channel: c.channel, Presence: true})
			_, err := v.Members(t.Context(), c.channel, transport.MembersQuery{})
			for _, err := range append(errs, err) {
				if !errors.Is(err, c.want) {
					t.Errorf("%v in %s: %v, want %v", c.by.Identity().Subject, c.channel, err, c.want)
				}
			}
			if _, errs := h.visit(c.by, transport.Subscription{Channel: c.channel}); c.want == transport.ErrNoPresence && errs[0] != nil {
				t.Error("without asking for it:", errs)
			}
		}
		wants(t, "who may", h.is("secret.a"), "ana*2 ?")
	})
}

// Who is nobody may say who it is where the server can know no one, and only a possible subject.
func TestNamingOneself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, memory.New(), access.Open())
		defer h.close()
		time.Sleep(6 * time.Second)
		asAna := transport.Subscription{Channel: "a", Member: &transport.Member{Subject: "ana", Info: json.RawMessage(`{"n": 1}`), Connections: 7}}
		if _, errs := h.visit(access.Stranger, asAna); errs[0] != nil {
			t.Error(errs)
		}
		wants(t, "named", h.is("a"), `ana{"n":1}*1`)
		bad := transport.Subscription{Channel: "a", Member: &transport.Member{Subject: "a\n"}}
		if _, errs := h.visit(access.Stranger, bad); !errors.Is(errs[0], transport.ErrMember) {
			t.Error("a bad name:", errs)
		}
		withTokens, err := access.New(access.Config{Tokens: tokensOf{}, Rules: []access.Rule{rooms(true)}})
		if err != nil {
			t.Fatal(err)
		}
		for what, o := range map[string]node.Options{"tokens": {Access: withTokens}, "an embedder that knows": {Identifies: true}} {
			h := newHouseWith(t, memory.New(), o)
			if _, errs := h.visit(access.Stranger, asAna); !errors.Is(errs[0], transport.ErrMember) {
				t.Errorf("%s: %v", what, errs)
			}
			h.close()
		}
	})
}

// tokensOf are Tokens of nobody.
type tokensOf struct{ access.Tokens }

// A reload that takes presence away has nobody seen any more, and observers told that they do not
// know; one that gives it has those seen who are there.
func TestPresenceReloaded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, memory.New(), policy(t, rooms(true)))
		defer h.close()
		time.Sleep(6 * time.Second)
		ana, _ := h.visit(user("ana"), transport.Subscription{Channel: "a", Presence: true})
		time.Sleep(time.Second)
		h.SetPolicy(policy(t, rooms(false)))
		time.Sleep(time.Second)
		wants(t, "told", strings.Join(ana.all(), "; "), "members ana*1; members ?")
		if got := h.is("a"); !strings.Contains(got, "no presence") {
			t.Error("got", got)
		}
		h.SetPolicy(policy(t, rooms(true)))
		time.Sleep(time.Second)
		wants(t, "given back", h.is("a"), "ana*1")
		wants(t, "told", strings.Join(ana.all(), "; "), "members ana*1; members ?; members ana*1")
		ana.session.Unsubscribe("a", nil)
		wants(t, "gone", h.is("a"), "")
	})
}

// What a new token says of its subject is seen by others.
func TestPresenceRenewed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		renewed := func(context.Context, string) (*access.Caller, error) {
			return access.NewCaller(transport.Identity{Kind: transport.User, Subject: "ana", Info: json.RawMessage(`"new"`)}), nil
		}
		h := newHouseWith(t, memory.New(), node.Options{Access: policy(t, rooms(true)), Authenticate: renewed})
		defer h.close()
		time.Sleep(6 * time.Second)
		ana, _ := h.visit(user("ana"), transport.Subscription{Channel: "a", Presence: true})
		time.Sleep(time.Second)
		if _, err := ana.Renew(t.Context(), "token"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		wants(t, "told", strings.Join(ana.all(), "; "), `members ana*1; joined [ana"new"] left []`)
		wants(t, "seen", h.is("a"), `ana"new"*1`)
	})
}
