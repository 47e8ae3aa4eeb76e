package stream_test

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/miniredis"
	"github.com/pregon/pregon/broker/redis/internal/pipeline"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/internal/stream"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

var retention = broker.Retention{MaxMessages: 100, MaxAge: time.Hour}

// A node is a Server, and a pipeline that publishes by its Writer.
type node struct {
	*stream.Server
	*pipeline.Pipeline
	client *goredis.Client
	dials  atomic.Int64
	heard  []seal.Witness
}

// newNode makes a node whose connections dial makes. It ends with the test.
func newNode(t *testing.T, settings wire.Settings, prefix string, dial func(context.Context) (net.Conn, error)) *node {
	t.Helper()
	n := &node{}
	n.client = goredis.NewClient(settings.Client(func(ctx context.Context, _, _ string) (net.Conn, error) {
		n.dials.Add(1)
		return dial(ctx)
	}))
	closing, end := context.WithCancel(context.Background())
	out := pipeline.NewTransmitter(n.client, closing)
	n.Server = stream.NewServer(stream.Options{
		Client: n.client, Prefix: prefix, Retention: retention,
		Dials: n.dials.Load, Heard: func() []seal.Witness { return n.heard }, SecretChanged: func() {},
	})
	n.Pipeline = pipeline.New(pipeline.Options{
		Transmitter: out, Timeout: 10 * time.Second, Prefix: prefix,
		Send: stream.NewWriter(n.Server, out).Send, Demoted: func() {},
	})
	t.Cleanup(func() {
		end()
		n.client.Close()
		n.Pipeline.Close()
	})
	return n
}

// embedded starts an embedded Redis and returns a function that makes nodes on it.
func embedded(t *testing.T) func() *node {
	t.Helper()
	server, err := miniredis.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	o := server.Options()
	settings := wire.Settings{Network: "tcp", Addr: o.Addr, Password: o.Password, DialTimeout: 10 * time.Second, Timeout: 10 * time.Second}
	return func() *node {
		return newNode(t, settings, "app:", func(ctx context.Context) (net.Conn, error) {
			return settings.Dial(ctx, o.Addr, nil)
		})
	}
}

// keep publishes and returns the position.
func (n *node) keep(t *testing.T, channel, text string) broker.Position {
	t.Helper()
	results, _ := n.Publish(t.Context(), nil, []broker.Message{{Channel: channel, Data: []byte(text)}})
	if results[0].Err != nil {
		t.Fatal(results[0].Err)
	}
	return results[0].Receipt.Position
}

// page reads a page as text: the numbers of its messages, ! where it is complete, and +
// where there are more.
func (n *node) page(t *testing.T, channel string, q broker.Query) (text string) {
	t.Helper()
	p, err := n.History(t.Context(), channel, q)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range p.Messages {
		if want := fmt.Sprint(m.Position.Seq); string(m.Data) != want || m.Channel != channel {
			t.Errorf("%v in %q is %q", m.Position, m.Channel, m.Data)
		}
		text += fmt.Sprint(m.Position.Seq, " ")
	}
	if p.Complete {
		text += "!"
	}
	if p.More {
		text += "+"
	}
	return text
}

// What two nodes publish is numbered in one order, and read in it: from any position, and
// in pages of any size.
func TestHistory(t *testing.T) {
	start := embedded(t)
	nodes := []*node{start(), start()}
	var epoch uint64
	for i := range 6 {
		p := nodes[i%2].keep(t, "chat", fmt.Sprint(i))
		if i == 0 {
			epoch = p.Epoch
		}
		if want := (broker.Position{Epoch: epoch, Seq: uint64(i)}); p != want {
			t.Fatalf("message %d is at %v, want %v", i, p, want)
		}
	}
	at := func(seq uint64) broker.Position { return broker.Position{Epoch: epoch, Seq: seq} }
	for _, test := range []struct {
		q    broker.Query
		want string
	}{
		{broker.Query{Limit: 10}, "0 1 2 3 4 5 !"},
		{broker.Query{Limit: 2}, "4 5 !+"},
		{broker.Query{Limit: 2, Before: at(4)}, "2 3 !+"},
		{broker.Query{Limit: 2, Before: at(1)}, "0 !"},
		{broker.Query{Limit: 10, After: at(2)}, "3 4 5 !"},
		{broker.Query{Limit: 1, After: at(2)}, "3 !+"},
		{broker.Query{Limit: 3, After: at(2)}, "3 4 5 !"},
		{broker.Query{Limit: 10, After: at(5)}, "!"},
		{broker.Query{Limit: 10, After: at(9)}, ""},
		{broker.Query{Limit: 10, After: broker.Position{Epoch: epoch - 1, Seq: 3}}, "0 1 2 3 4 5 "},
	} {
		if got := nodes[0].page(t, "chat", test.q); got != test.want {
			t.Errorf("%+v: %q, want %q", test.q, got, test.want)
		}
	}
}

// The newest positions come in the order of the channels, zero where there is none.
func TestNewest(t *testing.T) {
	n := embedded(t)()
	a, b := n.keep(t, "a", "0"), n.keep(t, "b", "0")
	newest, err := n.Newest(t.Context(), "b", "none", "a", "b")
	if err != nil {
		t.Fatal(err)
	}
	if want := []broker.Position{b, {}, a, b}; fmt.Sprint(newest) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", newest, want)
	}
}

// A mark stands behind what is kept when it is placed, moves when it is placed again, and
// is none where nothing is kept.
func TestMarks(t *testing.T) {
	n := embedded(t)()
	a := n.keep(t, "a", "0")
	n.keep(t, "b", "0")
	for range 2 {
		if err := n.Mark(t.Context(), "a", "none"); err != nil {
			t.Fatal(err)
		}
		marks, err := n.Marks(t.Context(), "none", "b", "a")
		if want := []broker.Position{{}, {}, a}; err != nil || fmt.Sprint(marks) != fmt.Sprint(want) {
			t.Fatalf("%v, %v; want %v", marks, err, want)
		}
		a = n.keep(t, "a", "1")
	}
}

// Entries that no publication can have made are not read, and are not the newest.
func TestImpossibleEntries(t *testing.T) {
	for name, id := range map[string]func(epoch uint64) string{
		"far ahead":    func(uint64) string { return fmt.Sprintf("%d-1", time.Now().Add(48*time.Hour).UnixMicro()) },
		"past all":     func(uint64) string { return "9007199254740993-1" },
		"large number": func(epoch uint64) string { return fmt.Sprintf("%d-9007199254740993", epoch) },
	} {
		t.Run(name, func(t *testing.T) {
			n := embedded(t)()
			first := n.keep(t, "chat", "0")
			if err := n.client.XAdd(t.Context(), &goredis.XAddArgs{Stream: "app:__pregon:h:chat", ID: id(first.Epoch), Values: []string{"m", "dodd"}}).Err(); err != nil {
				t.Fatal(err)
			}
			if got := n.page(t, "chat", broker.Query{After: first, Limit: 10}); got != "!" {
				t.Errorf("behind the first: %q", got)
			}
			if got := n.page(t, "chat", broker.Query{Limit: 10}); got != "0 !" {
				t.Errorf("the newest: %q", got)
			}
			newest, err := n.Newest(t.Context(), "chat")
			if past := newest[0] != first && !newest[0].IsZero(); err != nil || past {
				t.Errorf("newest is %v, %v; want %v", newest, err, first)
			}
		})
	}
}

// What was cleared is gone, its mark and this node's witness included, and what is
// published next begins an epoch. Other channels keep what they have, and clearing nothing
// is no error.
func TestClear(t *testing.T) {
	n := embedded(t)()
	before, other := n.keep(t, "chat", "0"), n.keep(t, "other", "0")
	if err := n.Mark(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if cleared, err := n.Clear(t.Context(), "chat"); cleared != want || err != nil {
			t.Errorf("Clear returned %v, %v; want %v", cleared, err, want)
		}
	}
	if got := n.page(t, "chat", broker.Query{Limit: 10}); got != "!" {
		t.Errorf("kept are %q", got)
	}
	marks, err := n.Marks(t.Context(), "chat")
	if err != nil || !marks[0].IsZero() {
		t.Errorf("the mark is %v, %v", marks, err)
	}
	if after := n.keep(t, "chat", "0"); after.Epoch <= before.Epoch {
		t.Errorf("the next is at %v, before it was %v", after, before)
	}
	if newest, err := n.Newest(t.Context(), "other"); err != nil || newest[0] != other {
		t.Errorf("the other channel is at %v, %v; want %v", newest, err, other)
	}
}

// Newest only reads. Keep puts off when a stream expires, and makes none.
func TestKeep(t *testing.T) {
	n := embedded(t)()
	n.keep(t, "chat", "0")
	const key = "app:__pregon:h:chat"
	left := func() time.Duration { return n.client.PTTL(t.Context(), key).Val() }
	if err := n.client.PExpire(t.Context(), key, time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Newest(t.Context(), "chat"); err != nil || left() > time.Minute {
		t.Errorf("after Newest: %v, %v", left(), err)
	}
	if err := n.Keep(t.Context(), "chat", "none"); err != nil || left() < retention.MaxAge {
		t.Errorf("after Keep: %v, %v", left(), err)
	}
	if n.client.Exists(t.Context(), "app:__pregon:h:none").Val() != 0 {
		t.Error("Keep made a stream")
	}
}
