// Package hostile_test is what a program of somebody else's may try: a Transport and an embedder that want more
// for a caller than the caller may.
package hostile_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/transport"
)

const (
	secret  = "for-tests-only-0123456789-abcdefghij"
	roomKey = "key-of-the-rooms-alone-01"
	kept    = "what nobody else may read"
)

// everything is all that a Client can do with a channel.
var everything = []string{"clear", "history", "mark", "members", "newest", "publish", "subscribe", "subscribe later", "watch"}

// A burglar is a Transport that tries everything for its callers, with a channel that they have not asked for.
type burglar struct {
	deps transport.Deps
	took chan []string
}

// DefaultFormat implements transport.Transport.
func (burglar) DefaultFormat() string { return "raw" }

// Wait implements transport.Transport.
func (burglar) Wait() {}

// Serve implements transport.Transport.
func (b burglar) Serve(w http.ResponseWriter, r *http.Request, wanted transport.SubscribeRequest) error {
	return b.try(w, r, wanted.Client)
}

// Routes implements transport.Router.
func (b burglar) Routes() []transport.Route {
	return []transport.Route{{Method: "POST", Path: "/try", Serve: b.try}}
}

func (b burglar) try(_ http.ResponseWriter, r *http.Request, c transport.Client) error {
	id := c.Identity()
	if slices.Contains(id.Subscribe, "**") {
		b.took <- []string{"what it has written into another request's Identity"}
		return nil
	}
	promote(id)
	b.took <- append(b.attempts(r.Context(), c, r.Header.Get("Wants")), stolen(r)...)
	return nil
}

// promote changes all that an Identity leads to.
func promote(id transport.Identity) {
	for _, patterns := range [][]string{id.Subscribe, id.Publish} {
		for i := range patterns {
			patterns[i] = "**"
		}
	}
}

// stolen returns what of a credential is in a request.
func stolen(r *http.Request) (found []string) {
	if r.Header.Get("Authorization") != "" || strings.Contains(r.RequestURI+r.URL.String(), "token=") {
		found = append(found, "a credential")
	}
	return found
}

// attempts returns what succeeds, in alphabetical order.
func (b burglar) attempts(ctx context.Context, c transport.Client, channel string) (succeeded []string) {
	try := func(what string, err error) {
		switch {
		case err == nil:
			succeeded = append(succeeded, what)
		case !errors.Is(err, broker.ErrDenied):
			succeeded = append(succeeded, what+" fails with "+err.Error())
		}
	}
	_, err := c.History(ctx, channel, broker.Query{Limit: 10})
	try("history", err)
	_, err = c.Newest(ctx, channel)
	try("newest", err)
	_, err = c.Mark(ctx, channel)
	try("mark", err)
	_, stop, err := c.Watch(ctx, channel)
	if try("watch", err); err == nil {
		stop()
	}
	_, err = c.Members(ctx, channel, transport.MembersQuery{})
	try("members", err)
	try("subscribe", b.subscribe(ctx, c, transport.Subscription{Channel: channel}))
	try("subscribe later", b.subscribe(ctx, c, transport.Subscription{Channel: "open.2"}, transport.Subscription{Channel: channel}))
	try("subscribe as somebody", b.subscribe(ctx, c, transport.Subscription{Channel: channel, Member: &transport.Member{Subject: "somebody"}}))
	if _, err := c.Renew(ctx, roomKey); err == nil {
		succeeded = append(succeeded, "renew with a key")
	}
	try("publish", c.Publish(ctx, broker.Message{Channel: channel, Data: []byte("x")})[0].Err)
	try("clear", c.Clear(ctx, channel))
	slices.Sort(succeeded)
	return succeeded
}

// subscribe returns how the last of subs is subscribed, one after the other.
func (b burglar) subscribe(ctx context.Context, c transport.Client, subs ...transport.Subscription) error {
	s := b.deps.Sockets.New()
	defer s.Close()
	session, err := c.Join(ctx, transport.Subscriber{Socket: s, Encoding: silent{}, Control: silent{}})
	if err != nil {
		return err
	}
	defer session.Leave()
	for _, sub := range subs {
		err = session.Subscribe(ctx, sub)[0]
	}
	return err
}

// A silent protocol has nothing to tell.
type silent struct{}

func (silent) Message(broker.Message) []byte      { return nil }
func (silent) Gap(transport.Gap) []byte           { return nil }
func (silent) Ping() []byte                       { return nil }
func (silent) Close(transport.CloseReason) []byte { return nil }

// rules let anyone into open.*, those who are granted it into room.*, and keys alone into all else.
func rules(t *testing.T) *access.Policy {
	t.Helper()
	v, err := token.New([]token.Issuer{{Secret: []byte(secret)}}, token.Options{})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := access.DigestOf(roomKey)
	if err != nil {
		t.Fatal(err)
	}
	p, err := access.New(access.Config{
		Tokens: v, Keys: []access.Key{{Name: "rooms", Digest: digest, Publish: []string{"room.*"}, Subscribe: []string{"room.*", "open.*"}}},
		Rules: []access.Rule{
			{Channels: []string{"open.*"}, Subscribe: access.Anyone, Publish: access.Anyone, Presence: true},
			{Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant, Presence: true},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// house returns a server with rules, a burglar, and something to steal.
func house(t *testing.T) (*server.Server, burglar) {
	t.Helper()
	b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Minute}).Broker()
	took := make(chan []string, 1)
	var made burglar
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Logger: slog.New(slog.DiscardHandler), Access: rules(t), DrainTime: time.Millisecond,
		Transports: map[string]transport.Maker{"burglar": func(d transport.Deps) (transport.Transport, error) {
			made = burglar{d, took}
			return made, nil
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(); _ = b.Close() })
	for _, channel := range []string{"open.1", "room.1", "secret"} {
		if err := s.Publish(t.Context(), broker.Message{Channel: channel, Data: []byte(kept)})[0].Err; err != nil {
			t.Fatal(err)
		}
	}
	return s, made
}

// mayNot returns everything but some.
func mayNot(some ...string) []string {
	return slices.DeleteFunc(slices.Clone(everything), func(what string) bool { return slices.Contains(some, what) })
}

// cases are what callers may, at most.
func cases(t *testing.T) []struct {
	name, credential, channel string
	may                       []string
} {
	t.Helper()
	user, err := token.Mint([]byte(secret), token.Draft{Subject: "u1", Subscribe: []string{"room.1"}, Publish: []string{"room.1"},
		Issued: time.Now(), Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	return []struct {
		name, credential, channel string
		may                       []string
	}{
		{"a stranger", "", "open.1", mayNot("clear")},
		{"a stranger", "", "room.1", nil},
		{"a stranger", "", "secret", nil},
		{"a user", user, "open.1", mayNot("clear")},
		{"a user", user, "room.1", mayNot("clear")},
		{"a user", user, "room.2", nil},
		{"a user", user, "secret", nil},
		{"a key", roomKey, "room.2", everything},
		{"a key", roomKey, "open.1", mayNot("clear", "publish")},
		{"a key", roomKey, "secret", nil},
	}
}

// A Transport can do for a caller what the rules let the caller do, in the channels that it asked for and in others, and
// nothing else; nor does it get hold of the credential, or of another Identity.
func TestHostileTransport(t *testing.T) {
	s, b := house(t)
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	for _, c := range cases(t) {
		for _, target := range []string{"GET /burglar/open.1", "POST /burglar/try", "GET /burglar?channel=open.1"} {
			method, path, _ := strings.Cut(target, " ")
			r, err := http.NewRequestWithContext(t.Context(), method, web.URL+path, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			if r.Header.Set("Wants", c.channel); c.credential != "" {
				r.Header.Set("Authorization", "Bearer "+c.credential)
			}
			resp, err := web.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s: %s %s", c.name, target, resp.Status, body)
			}
			if took := <-b.took; !slices.Equal(took, c.may) {
				t.Errorf("%s could, in %s by %s: %v, want %v", c.name, c.channel, target, took, c.may)
			}
		}
	}
}

// A program that embeds the server gives its callers what the rules give them, whatever it says that they were granted.
func TestHostileEmbedder(t *testing.T) {
	s, b := house(t)
	for _, c := range []struct {
		by      transport.Identity
		channel string
		may     []string
	}{
		{transport.Identity{}, "secret", nil},
		{transport.Identity{}, "room.1", nil},
		{transport.Identity{Subscribe: []string{"**"}, Publish: []string{"**"}}, "room.1", nil}, // a stranger
		{transport.Identity{Kind: transport.User, Subscribe: []string{"**"}, Publish: []string{"**"}}, "secret", nil},
		{transport.Identity{Kind: transport.User, Subscribe: []string{"room*", "{sub}.1", ""}}, "room.1", nil},
		{transport.Identity{Kind: transport.User, Subscribe: []string{"**"}, Expires: time.Unix(1, 0)}, "open.1", nil},
		{transport.Identity{Kind: transport.Backend, Publish: []string{"open.*"}, Admin: true}, "secret", nil},
		{transport.Identity{Kind: transport.Backend, Subscribe: []string{}}, "open.1", nil},
		{transport.Identity{Kind: transport.Backend}, broker.ReservedPrefix + "pregon", nil},
		{transport.Identity{Kind: transport.Kind(9)}, "secret", nil},
		{transport.Identity{Kind: transport.User, Subscribe: []string{"room.*"}}, "room.1", mayNot("clear", "publish")},
	} {
		if took := b.attempts(t.Context(), s.Client(c.by), c.channel); !slices.Equal(took, c.may) {
			t.Errorf("%+v could, in %s: %v, want %v", c.by, c.channel, took, c.may)
		}
		heard, err := s.Subscribe(t.Context(), c.by, transport.Subscription{Channel: c.channel})
		if err == nil {
			heard.Close()
		}
		if (err == nil) != slices.Contains(c.may, "subscribe") {
			t.Errorf("%+v hears %s: %v", c.by, c.channel, err)
		}
	}
	page, err := s.Client(transport.Identity{Kind: transport.Backend}).History(t.Context(), "secret", broker.Query{Limit: 10})
	if err != nil || len(page.Messages) != 1 || string(page.Messages[0].Data) != kept {
		t.Error("what there was to steal:", page, err)
	}
}
