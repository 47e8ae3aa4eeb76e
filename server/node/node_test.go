package node_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start returns a node on b, for the time of the test.
func start(t testing.TB, b broker.Broker) *node.Node {
	t.Helper()
	h, err := hub.New(context.Background(), b, hub.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close(); _ = b.Close() })
	n := node.New(b, h, node.Options{MaxMessage: 8})
	t.Cleanup(n.Close)
	return n
}

// subscribe returns why c may not subscribe a channel.
func subscribe(ctx context.Context, c transport.Client, channel string) error {
	unread := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute}).New()
	defer unread.Close()
	session, err := c.Join(ctx, transport.Subscriber{Socket: unread, Encoding: mute{}, Control: mute{}})
	if err != nil {
		return err
	}
	defer session.Leave()
	return session.Subscribe(ctx, transport.Subscription{Channel: channel})[0]
}

func withHistory() broker.Broker {
	return memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
}

// No method of a Client takes a name that clients may not use, and what it says has no
// name in it and is what a route can answer with.
func TestNamesAreRefused(t *testing.T) {
	t.Parallel()
	for name, code := range map[string]string{
		"__pregon": "channel_reserved", "__keyspace@0__:a": "channel_reserved", "": "channel_empty", "a//b": "bad_channel", "a\nb": "bad_channel",
	} {
		c, ctx := start(t, withHistory()).Client(access.Stranger, netip.Addr{}), t.Context()
		join := subscribe(ctx, c, name)
		_, history := c.History(ctx, name, broker.Query{Limit: 1})
		_, newest := c.Newest(ctx, name)
		_, mark := c.Mark(ctx, name)
		_, _, watch := c.Watch(ctx, name)
		clear := c.Clear(ctx, name)
		for what, err := range map[string]error{
			"join": join, "history": history, "newest": newest, "mark": mark, "watch": watch, "clear": clear,
			"publish": c.Publish(ctx, broker.Message{Channel: name})[0].Err,
			"batch":   c.Publish(ctx, broker.Message{Channel: "a"}, broker.Message{Channel: name})[1].Err,
		} {
			var refused *broker.ChannelError
			if !errors.As(err, &refused) || refused.Code != code {
				t.Errorf("%s of %q: %v", what, name, err)
			}
			if what == "publish" && broker.OutcomeOf(err) != broker.NotPublished {
				t.Errorf("%q: a refused name leaves the outcome %v", name, broker.OutcomeOf(err))
			}
		}
	}
}

// A message that is refused keeps none beside it from being published, and each Result is
// its message's.
func TestRefusalsStandAlone(t *testing.T) {
	t.Parallel()
	c := start(t, withHistory()).Client(access.Stranger, netip.Addr{})
	results := c.Publish(t.Context(), broker.Message{Channel: "a", Data: []byte("1")}, broker.Message{Channel: "__a"}, broker.Message{Channel: "a", Data: []byte("2")})
	if results[0].Err != nil || results[1].Err == nil || results[2].Err != nil {
		t.Fatal(results)
	}
	page, err := c.History(t.Context(), "a", broker.Query{Limit: 10})
	if err != nil || len(page.Messages) != 2 || page.Messages[0].Position != results[0].Receipt.Position || page.Messages[1].Position != results[2].Receipt.Position {
		t.Error(page, err, results)
	}
	if newest, err := c.Newest(t.Context(), "a"); err != nil || newest != results[2].Receipt.Position {
		t.Error(newest, err)
	}
	if results := c.Publish(t.Context()); len(results) != 0 {
		t.Error(results)
	}
}

// Without a history there is none to read, and that is an error of its own.
func TestNoHistory(t *testing.T) {
	t.Parallel()
	n := start(t, memory.New())
	_, history := n.Client(access.Stranger, netip.Addr{}).History(t.Context(), "a", broker.Query{Limit: 1})
	_, newest := n.Client(access.Stranger, netip.Addr{}).Newest(t.Context(), "a")
	if !errors.Is(history, errors.ErrUnsupported) || !errors.Is(newest, errors.ErrUnsupported) || n.KeepsHistory() {
		t.Error(history, newest, n.KeepsHistory())
	}
	if !start(t, withHistory()).KeepsHistory() {
		t.Error("a history is not known of")
	}
}

// What is published once a channel is watched is news, also to a caller that does not
// wait yet.
func TestWatch(t *testing.T) {
	t.Parallel()
	c := start(t, withHistory()).Client(access.Stranger, netip.Addr{})
	news, stop, err := c.Watch(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if err := c.Publish(t.Context(), broker.Message{Channel: "a"})[0].Err; err != nil {
		t.Fatal(err)
	}
	select {
	case <-news:
	case <-time.After(10 * time.Second):
		t.Error("nothing is new")
	}
}

// A single publication goes to the broker directly and costs the slice of its Result:
// nothing else, whatever the broker's way of batches is.
func TestOneMessageIsPublishedDirectly(t *testing.T) {
	b := &counting{Broker: memory.New()}
	c := start(t, b).Client(access.Stranger, netip.Addr{})
	m := broker.Message{Channel: "a", Data: []byte("x")}
	ctx := t.Context()
	if allocs := fewestAllocs(func() { _ = c.Publish(ctx, m) }); allocs > 1 {
		t.Errorf("%v allocations, want the slice of the result alone", allocs)
	}
	if b.batches > 0 {
		t.Errorf("%d batches for single messages", b.batches)
	}
	if c.Publish(ctx, m, m); b.batches != 1 {
		t.Errorf("%d batches for two messages", b.batches)
	}
}

// A counting broker counts its batches, and takes messages without doing anything.
type counting struct {
	broker.Broker
	batches int
}

func (c *counting) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if m.Channel == "a" {
		return broker.Receipt{}, nil
	}
	return c.Broker.Publish(ctx, m)
}

func (c *counting) PublishBatch(_ context.Context, ms []broker.Message) []broker.Result {
	c.batches++
	return make([]broker.Result, len(ms))
}

// A message that is too long is refused, whatever the broker would take, and was not
// published.
func TestLongMessagesAreRefused(t *testing.T) {
	t.Parallel()
	c := start(t, withHistory()).Client(access.NewCaller(transport.Identity{Subject: "x"}), netip.Addr{})
	results := c.Publish(t.Context(), broker.Message{Channel: "a", Data: make([]byte, 9)}, broker.Message{Channel: "a", Data: make([]byte, 8)})
	if err := results[0].Err; !errors.Is(err, broker.ErrTooLarge) || broker.OutcomeOf(err) != broker.NotPublished {
		t.Error(err)
	}
	if results[1].Err != nil || c.Identity().Subject != "x" {
		t.Error(results[1].Err, c.Identity())
	}
}

// A miscounting broker gives as many positions as it likes.
type miscounting struct {
	broker.Broker
	broker.Historian
	answers int
}

func (m miscounting) Newest(context.Context, ...string) ([]broker.Position, error) {
	return make([]broker.Position, m.answers), nil
}

// An answer to another question is an error, and no channel without messages.
func TestNewestThatIsNoAnswer(t *testing.T) {
	t.Parallel()
	for answers, fine := range map[int]bool{0: false, 1: true, 2: false} {
		b := withHistory()
		c := start(t, miscounting{b, b.(broker.Historian), answers}).Client(access.Stranger, netip.Addr{})
		if _, err := c.Newest(t.Context(), "a"); (err == nil) != fine {
			t.Errorf("%d answers: %v", answers, err)
		}
	}
}

// A key that cannot be used is refused, whoever publishes with it.
func TestKeysAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		broker broker.Broker
		key    string
		ok     bool
	}{
		{withHistory(), "a key", true}, {withHistory(), "", true}, {memory.New(), "", true},
		{memory.New(), "a key", false}, {withHistory(), " a", false}, {withHistory(), "a\n", false}, {withHistory(), "é", false},
		{withHistory(), strings.Repeat("x", 255), true}, {withHistory(), strings.Repeat("x", 256), false},
	} {
		client := start(t, c.broker).Client(access.Stranger, netip.Addr{})
		err := client.Publish(t.Context(), broker.Message{Channel: "a", Key: c.key})[0].Err
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.key, err)
		}
		if err != nil && (!errors.Is(err, broker.ErrKey) || broker.OutcomeOf(err) != broker.NotPublished) {
			t.Errorf("%q: %v", c.key, err)
		}
	}
}

// Clearing needs a broker that can, and empties one channel.
func TestClear(t *testing.T) {
	t.Parallel()
	b := withHistory()
	type historian struct {
		broker.Broker
		broker.Historian
	}
	for name, refused := range map[string]broker.Broker{"none": memory.New(), "cannot": historian{b, b.(broker.Historian)}} {
		if err := start(t, refused).Client(access.Stranger, netip.Addr{}).Clear(t.Context(), "a"); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, node.ErrCannotClear) != (name == "cannot") {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := start(t, withHistory()).Client(access.Stranger, netip.Addr{})
	c.Publish(t.Context(), broker.Message{Channel: "a"}, broker.Message{Channel: "b"})
	if err := c.Clear(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for channel, want := range map[string]int{"a": 0, "b": 1} {
		if page, err := c.History(t.Context(), channel, broker.Query{Limit: 2}); err != nil || len(page.Messages) != want {
			t.Error(channel, page, err)
		}
	}
}
