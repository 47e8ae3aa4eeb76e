package waysin_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/access/token"
	"github.com/pregon/pregon/server/access/token/tokentest"
	"github.com/pregon/pregon/transport"
)

// Keys of the tests.
const (
	appKey    = "key-of-the-application-01" // may everything
	narrowKey = "key-of-the-rooms-alone-02" // may everything in room.*
	noKey     = "key-that-nobody-knows--03"
)

// policy returns the rules of the tests, behind others.
func policy(t testing.TB, tokens access.Tokens, first ...access.Rule) *access.Policy {
	t.Helper()
	digest := func(secret string) [32]byte {
		d, err := access.DigestOf(secret)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	p, err := access.New(access.Config{
		Tokens: tokens,
		Keys: []access.Key{
			{Name: "app", Digest: digest(appKey)},
			{Name: "rooms", Digest: digest(narrowKey), Publish: []string{"room.*"}, Subscribe: []string{"room.*"}},
		},
		Rules: append(first, []access.Rule{
			{Line: 1, Channels: []string{"open.*"}, Subscribe: access.Anyone, Publish: access.Anyone, Presence: true},
			{Line: 2, Channels: []string{"room.*"}, Subscribe: access.Grant, Publish: access.Grant, Presence: true},
			{Line: 3, Channels: []string{"user.{sub}.*"}, Subscribe: access.Token, Publish: access.Token, Presence: true},
		}...),
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// verifier takes the tokens of a Kit as of its time, however long a test takes.
func verifier(t testing.TB, kit *tokentest.Kit) *token.Verifier {
	t.Helper()
	v, err := token.New(kit.Issuers(), token.Options{Now: func() time.Time { return kit.Now }})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A site is a server whose hooks and log are watched.
type site struct {
	server *server.Server
	addr   string
	hooks  hooks
	log    transcript
	used   atomic.Int64 // channels
}

// channel returns the name of a channel that nobody else uses. kind is what is ahead of its last segment.
func (s *site) channel(kind string) string { return fmt.Sprint(kind, ".", s.used.Add(1)) }

// newSite returns a site that serves nobody yet.
func newSite(t *testing.T, o server.Options) *site {
	t.Helper()
	s := &site{}
	b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
	o.Broker, o.Hooks = b, s.hooks.functions()
	o.Cookie, o.Hosts, o.DrainTime = cookie, []string{host}, 10*time.Millisecond
	o.Logger = slog.New(slog.NewTextHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o.AccessLog = o.Logger
	var err error
	if s.server, err = server.New(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.server.Close(); _ = b.Close() })
	return s
}

// serve returns a site that listens.
func serve(t *testing.T, o server.Options) *site {
	t.Helper()
	s := newSite(t, o)
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error("Serve:", err)
		}
	})
	return s
}

// A call is one of a hook.
type call struct {
	hook string
	by   transport.Identity
}

// hooks notes whom it is asked for, by channel.
type hooks struct {
	mu    sync.Mutex
	calls map[string][]call
}

func (h *hooks) note(hook, channel string, by transport.Identity) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.calls == nil {
		h.calls = map[string][]call{}
	}
	h.calls[channel] = append(h.calls[channel], call{hook, by})
}

// of returns the calls for a channel.
func (h *hooks) of(channel string) []call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.calls[channel]
}

// take returns all that the hooks were told, and forgets it.
func (h *hooks) take() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := ""
	if len(h.calls) > 0 {
		text = fmt.Sprintf("%+v", h.calls)
	}
	h.calls = nil
	return text
}

func (h *hooks) functions() server.Hooks {
	return server.Hooks{
		OnPublish: func(_ context.Context, by transport.Identity, m broker.Message) (broker.Message, error) {
			h.note("publish", m.Channel, by)
			return m, nil
		},
		OnSubscribe: func(_ context.Context, by transport.Identity, channel string) error {
			h.note("subscribe", channel, by)
			return nil
		},
		OnClear: func(_ context.Context, by transport.Identity, channel string) error {
			h.note("clear", channel, by)
			return nil
		},
	}
}

// A transcript is what was written to it.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.Write(p)
}

// take returns what was written, and forgets it.
func (t *transcript) take() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := t.buf.String()
	t.buf.Reset()
	return text
}
