package node_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// policy returns the Policy that has rules, and takes no credentials.
func policy(t testing.TB, rules ...access.Rule) *access.Policy {
	t.Helper()
	p, err := access.New(access.Config{Rules: rules})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// ruled returns a node on b with these options.
func ruled(t testing.TB, b broker.Broker, o node.Options) *node.Node {
	t.Helper()
	h, err := hub.New(context.Background(), b, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = b.Close() })
	n := node.New(b, h, o)
	t.Cleanup(n.Close)
	return n
}

func user(name string, subscribe ...string) *access.Caller {
	return access.NewCaller(transport.Identity{Kind: transport.User, Subject: name, Subscribe: subscribe})
}

// ways are all that a Client can do with a channel, by the action that is decided on.
func ways(ctx context.Context, c *node.Client, channel string) map[string]error {
	_, history := c.History(ctx, channel, broker.Query{Limit: 1})
	_, newest := c.Newest(ctx, channel)
	_, mark := c.Mark(ctx, channel)
	_, stop, watch := c.Watch(ctx, channel)
	if watch == nil {
		stop()
	}
	return map[string]error{
		"subscribe": subscribe(ctx, c, channel), "history": history, "newest": newest, "mark": mark, "watch": watch,
		"check subscribe": c.Check(access.Subscribe, channel),
		"publish":         c.Publish(ctx, broker.Message{Channel: channel})[0].Err,
		"batch":           c.Publish(ctx, broker.Message{Channel: channel}, broker.Message{Channel: channel})[1].Err,
		"all or none":     c.PublishAllOrNone(ctx, broker.Message{Channel: channel})[0].Err,
		"check publish":   c.Check(access.Publish, channel),
		"clear":           c.Clear(ctx, channel), "check clear": c.Check(access.Clear, channel),
	}
}

// Every way to a channel asks the one decision: whoever may not gets an *access.DeniedError
// that says that nothing was done, and whoever may is let in.
func TestEveryWayIsDecided(t *testing.T) {
	t.Parallel()
	n := ruled(t, withHistory(), node.Options{Access: policy(t,
		access.Rule{Channels: []string{"news"}, Subscribe: access.Anyone, Publish: access.Token},
		access.Rule{Channels: []string{"own.{sub}"}, Subscribe: access.Token},
		access.Rule{Channels: []string{"room.*"}, Subscribe: access.Grant},
	)})
	reads := []string{"subscribe", "history", "newest", "mark", "watch", "check subscribe"}
	publishes := []string{"publish", "batch", "all or none", "check publish"}
	clears := []string{"clear", "check clear"}
	for _, c := range []struct {
		name    string
		caller  *access.Caller
		channel string
		may     [][]string
		want    error // of the others
	}{
		{"a stranger and what anyone may hear", access.Stranger, "news", [][]string{reads}, access.ErrUnauthorized},
		{"a stranger and a subject's own", access.Stranger, "own.ana", nil, access.ErrUnauthorized},
		{"a user and what anyone may hear", user("ana"), "news", [][]string{reads, publishes}, access.ErrForbidden},
		{"a user and its own", user("ana"), "own.ana", [][]string{reads}, access.ErrForbidden},
		{"a user and another one's own", user("ana"), "own.bob", nil, access.ErrForbidden},
		{"a grant", user("ana", "room.7"), "room.7", [][]string{reads}, access.ErrForbidden},
		{"a grant of another", user("ana", "room.7"), "room.8", nil, access.ErrForbidden},
		{"no rule", user("ana", "**"), "other", nil, access.ErrForbidden},
		{"the program", access.Program, "other", [][]string{reads, publishes, clears}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			may := map[string]bool{}
			for _, some := range c.may {
				for _, way := range some {
					may[way] = true
				}
			}
			for way, err := range ways(t.Context(), n.Client(c.caller, netip.Addr{}), c.channel) {
				var denied *access.DeniedError
				switch {
				case may[way] && err != nil:
					t.Errorf("%s: %v", way, err)
				case !may[way] && (!errors.As(err, &denied) || !errors.Is(err, c.want) || broker.OutcomeOf(err) != broker.NotPublished):
					t.Errorf("%s: %v, want %v", way, err, c.want)
				}
			}
		})
	}
}

// A name that nobody may use is refused as such, whoever asks, and a message that is too long
// only to those who may publish: so nobody learns of limits that are not theirs.
func TestTheOrderOfRefusals(t *testing.T) {
	t.Parallel()
	asked := 0
	n := ruled(t, withHistory(), node.Options{MaxMessage: 8, Access: policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Token, MaxMessage: 4}),
		Hooks: node.Hooks{OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
			asked++
			return m, nil
		}}})
	for _, c := range []struct {
		caller  *access.Caller
		channel string
		size    int
		want    error
		asks    int
	}{
		{access.Stranger, "__a", 9, new(broker.ChannelError), 0},
		{access.Stranger, "a", 9, access.ErrUnauthorized, 0},
		{user("ana"), "b", 9, access.ErrForbidden, 0},
		{user("ana"), "a", 5, broker.ErrTooLarge, 0},
		{user("ana"), "a", 4, nil, 1},
		{access.Program, "a", 5, broker.ErrTooLarge, 0}, // a rule's limit is its channels', whoever publishes
		{access.Program, "b", 8, nil, 1},
		{access.Program, "b", 9, broker.ErrTooLarge, 0},
	} {
		asked = 0
		err := n.Client(c.caller, netip.Addr{}).Publish(t.Context(), broker.Message{Channel: c.channel, Data: make([]byte, c.size)})[0].Err
		var name *broker.ChannelError
		if _, byName := c.want.(*broker.ChannelError); byName != errors.As(err, &name) || !byName && !errors.Is(err, c.want) || asked != c.asks {
			t.Errorf("%v, %s, %d bytes: %v, and %d hooks were asked", c.caller.Identity().Kind, c.channel, c.size, err, asked)
		}
	}
}

// Of a batch all is decided before a hook is asked for the first.
func TestABatchIsDecidedFirst(t *testing.T) {
	t.Parallel()
	var asked []string
	n := ruled(t, withHistory(), node.Options{Access: policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Anyone}),
		Hooks: node.Hooks{OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
			asked = append(asked, m.Channel)
			return m, nil
		}}})
	results := n.Client(access.Stranger, netip.Addr{}).Publish(t.Context(), broker.Message{Channel: "a"}, broker.Message{Channel: "b"}, broker.Message{Channel: "a"})
	if results[0].Err != nil || !errors.Is(results[1].Err, access.ErrUnauthorized) || results[2].Err != nil || strings.Join(asked, " ") != "a a" {
		t.Error(results, asked)
	}
}

// A decision costs a publication no allocation, with rules or without.
func TestDecisionsAllocateNothing(t *testing.T) {
	for name, p := range map[string]*access.Policy{"open": access.Open(), "rules": policy(t, access.Rule{Channels: []string{"a"}, Publish: access.Anyone, MaxMessage: 8})} {
		c := ruled(t, &counting{Broker: memory.New()}, node.Options{Access: p}).Client(access.Stranger, netip.Addr{})
		m, ctx := broker.Message{Channel: "a", Data: []byte("x")}, t.Context()
		if allocs := fewestAllocs(func() { _ = c.Publish(ctx, m) }); allocs > 1 {
			t.Errorf("%s: %v allocations, want the slice of the result alone", name, allocs)
		}
	}
}

// fewestAllocs returns how many allocations f costs, in the quietest of ten rounds: what else the program does
// meanwhile, as the node that starts, is counted too.
func fewestAllocs(f func()) float64 {
	fewest := testing.AllocsPerRun(100, f)
	for range 9 {
		fewest = min(fewest, testing.AllocsPerRun(100, f))
	}
	return fewest
}

// A hook that panics refuses, and the program lives on. The log has where, once, and nothing
// of what came from outside.
func TestPanicsRefuse(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	n := ruled(t, withHistory(), node.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), Hooks: node.Hooks{
		OnPublish: func(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
			panic("cannot handle " + string(m.Data))
		},
		OnSubscribe: func(_ context.Context, _ transport.Identity, channel string) error {
			if channel == "fine" {
				return nil
			}
			return []error{nil}[len(channel)]
		},
		OnLeave: func(transport.Identity, string) { panic(errNo) },
		OnClear: func(context.Context, transport.Identity, string) error { panic(nil) },
	}})
	c := n.Client(access.Stranger, netip.Addr{})
	for _, hook := range []struct {
		name, says string
		err        error
		panics     bool
	}{
		{"OnPublish", "string", c.Publish(t.Context(), broker.Message{Channel: "a", Data: []byte("geheim")})[0].Err, true},
		{"OnSubscribe", "out of range", subscribe(t.Context(), c, "secret"), true},
		{"OnLeave", "errorString", subscribe(t.Context(), c, "fine"), false},
		{"OnClear", "nil", c.Clear(t.Context(), "a"), true},
	} {
		if errors.Is(hook.err, node.ErrRefused) != hook.panics || hook.panics && broker.OutcomeOf(hook.err) != broker.NotPublished || !hook.panics && hook.err != nil {
			t.Errorf("%s: %v", hook.name, hook.err)
		}
		line := ""
		for l := range strings.Lines(log.String()) {
			if strings.Contains(l, "hook="+hook.name+" ") {
				line += l
			}
		}
		if strings.Count(line, "\n") != 1 || !strings.Contains(line, "level=ERROR") || !strings.Contains(line, hook.says) || !strings.Contains(line, "decide_test.go") {
			t.Errorf("%s: the log has %q", hook.name, line)
		}
	}
	if strings.Contains(log.String(), "geheim") || strings.Contains(log.String(), "secret") {
		t.Error("the log quotes what came from outside")
	}
}
