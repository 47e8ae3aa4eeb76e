package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/miniredis"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

var retention = broker.Retention{MaxMessages: 1000, MaxAge: time.Minute}

// keeping are options of a node with history.
func keeping(addr string) redis.Options {
	o := options(addr)
	o.History = retention
	return o
}

// onBoth runs a test on Redis and on the embedded server.
func onBoth(t *testing.T, test func(t *testing.T, o redis.Options)) {
	t.Run("redis", func(t *testing.T) { test(t, keeping(redistest.Start(t).Addr())) })
	t.Run("miniredis", func(t *testing.T) {
		s, err := miniredis.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		o := s.Options()
		o.History = retention
		test(t, o)
	})
}

func keep(t testing.TB, b broker.Broker, channel, text string) broker.Position {
	t.Helper()
	r, err := b.Publish(guard(t), broker.Message{Channel: channel, Data: []byte(text)})
	if err != nil || r.Repeated || r.Position.IsZero() {
		t.Fatalf("Publish returned %+v, %v", r, err)
	}
	return r.Position
}

func history(t testing.TB, b *redis.Broker, channel string, after broker.Position, limit int) broker.Page {
	t.Helper()
	page, err := b.History(guard(t), channel, broker.Query{After: after, Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// Receipts, deliveries and what is kept agree about positions, which have no
// holes, whoever publishes.
func TestPositions(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, o redis.Options) {
		const nodes, callers, each = 3, 4, 20
		reader := newBroker(t, o)
		feed := newFeed(t, reader, "chat")
		var running sync.WaitGroup
		var mu sync.Mutex
		receipts := map[broker.Position]string{}
		for n := range nodes {
			b := newBroker(t, o)
			for c := range callers {
				running.Go(func() {
					for i := range each {
						text := fmt.Sprint(n, c, i) + []string{"", "\xFF"}[c%2] // some are binary
						p := keep(t, b, "chat", text)
						mu.Lock()
						receipts[p] = text
						mu.Unlock()
					}
				})
			}
		}
		running.Wait()
		var last broker.Position
		for i := range nodes * callers * each {
			m, err := next(t, feed)
			if err != nil || receipts[m.Position] != string(m.Data) || i > 0 && !last.Next(m.Position) {
				t.Fatalf("message %d: %q at %v after %v, %v; its receipt has %q", i, m.Data, m.Position, last, err, receipts[m.Position])
			}
			last = m.Position
		}
		page := history(t, reader, "chat", broker.Position{}, 1000)
		if len(page.Messages) != len(receipts) || !page.Complete || page.More {
			t.Fatalf("%d of %d messages are kept, complete %v, more %v", len(page.Messages), len(receipts), page.Complete, page.More)
		}
		for _, m := range page.Messages {
			if receipts[m.Position] != string(m.Data) || m.Channel != "chat" {
				t.Errorf("kept is %q in %q, its receipt has %q", m.Data, m.Channel, receipts[m.Position])
			}
		}
		newest, err := reader.Newest(guard(t), "none", "chat", "none")
		if want := []broker.Position{{}, last, {}}; err != nil || !slices.Equal(newest, want) {
			t.Errorf("Newest returned %v, %v; want %v", newest, err, want)
		}
	})
}

// History is right about every position: those that are kept, those that were
// deleted, and those that never were.
func TestHistoryPages(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, o redis.Options) {
		o.History.MaxMessages = 10
		b := newBroker(t, o)
		if page := history(t, b, "chat", broker.Position{}, 5); !page.Complete || page.More || len(page.Messages) > 0 {
			t.Errorf("an empty channel: %+v", page)
		}
		if page := history(t, b, "chat", broker.Position{Epoch: 7}, 5); page.Complete || len(page.Messages) > 0 {
			t.Errorf("a foreign position in an empty channel: %+v", page)
		}
		const n = 350
		all := make([]broker.Position, n)
		for i := range all {
			all[i] = keep(t, b, "chat", fmt.Sprint(i))
		}
		kept := history(t, b, "chat", broker.Position{}, n).Messages
		if len(kept) < 10 || len(kept) == n {
			t.Fatalf("%d messages are kept", len(kept))
		}
		oldest := n - len(kept)
		for i, p := range all {
			for _, limit := range []int{1, 7, n} {
				page := history(t, b, "chat", p, limit)
				first := max(i+1, oldest)
				want := min(limit, n-first)
				if page.Complete != (i >= oldest-1) || len(page.Messages) != want || page.More != (first+want < n) {
					t.Fatalf("after %d of %d..%d, limit %d: %d messages, complete %v, more %v", i, oldest, n, limit, len(page.Messages), page.Complete, page.More)
				}
				for k, m := range page.Messages {
					if m.Position != all[first+k] || string(m.Data) != fmt.Sprint(first+k) {
						t.Fatalf("after %d: %q at %v", i, m.Data, m.Position)
					}
				}
			}
		}
		last := all[n-1]
		for _, future := range []broker.Position{{Epoch: last.Epoch, Seq: last.Seq + 1}, {Epoch: last.Epoch + 1}} {
			if page := history(t, b, "chat", future, 3); page.Complete || page.More || len(page.Messages) != 0 {
				t.Errorf("after %v: %+v", future, page)
			}
		}
		for _, foreign := range []broker.Position{{Epoch: last.Epoch - 1, Seq: 5}, {Epoch: 1}} {
			page := history(t, b, "chat", foreign, 3)
			if page.Complete || !page.More || len(page.Messages) != 3 || page.Messages[0].Position != all[oldest] {
				t.Errorf("after %v: %+v", foreign, page)
			}
		}
	})
}

// A page ends at about a MiB, and a message beyond that is a page of its own.
func TestHistoryLargeMessages(t *testing.T) {
	onBoth(t, func(t *testing.T, o redis.Options) {
		b := newBroker(t, o)
		first := keep(t, b, "chat", "small")
		big := strings.Repeat("x", 600<<10)
		for range 5 {
			keep(t, b, "chat", big)
		}
		if page := history(t, b, "chat", broker.Position{}, 100); len(page.Messages) != 2 || !page.Complete {
			t.Errorf("the newest: %d messages", len(page.Messages))
		}
		after, seen := first, 0
		for more := true; more; {
			page := history(t, b, "chat", after, 100)
			if len(page.Messages) == 0 || len(page.Messages) > 2 || !page.Complete || !after.Next(page.Messages[0].Position) {
				t.Fatalf("after %v: %d messages, complete %v", after, len(page.Messages), page.Complete)
			}
			seen += len(page.Messages)
			after, more = page.Messages[len(page.Messages)-1].Position, page.More
		}
		if seen != 5 {
			t.Errorf("%d messages on all pages, want 5", seen)
		}
	})
}

// What strangers add to a stream is read as it is, and holes that they leave are
// seen as such. What they publish is heard without a position.
func TestStrangers(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	feed := newFeed(t, b, "chat")
	p := keep(t, b, "chat", "ours")
	server.MustDo("XADD", "__pregon:h:chat", fmt.Sprintf("%d-%d", p.Epoch, p.Seq+5), "m", "dtheirs")
	server.MustDo("XADD", "__pregon:h:chat", fmt.Sprintf("%d-%d", p.Epoch, p.Seq+6), "other", "field")
	server.MustDo("PUBLISH", "chat", "bare")
	if q := keep(t, b, "chat", "after"); q.Epoch != p.Epoch || q.Seq != p.Seq+7 {
		t.Errorf("after what a stranger added the position is %v", q)
	}
	page := history(t, b, "chat", p, 10)
	if len(page.Messages) != 3 || !page.Complete || p.Next(page.Messages[0].Position) ||
		string(page.Messages[0].Data) != "theirs" || page.Messages[1].Position.Seq != p.Seq+6 {
		t.Errorf("page %+v", page)
	}
	for _, want := range []struct {
		text string
		kept bool
	}{{"ours", true}, {"bare", false}, {"after", true}} {
		m, err := next(t, feed)
		if err != nil || string(m.Data) != want.text || m.Position.IsZero() == want.kept {
			t.Errorf("heard %q at %v, %v", m.Data, m.Position, err)
		}
	}
}

// Keys of a history expire when they are not used, and not before Age.
func TestHistoryExpires(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	publishKeyed := func() {
		if _, err := b.Publish(guard(t), broker.Message{Channel: "chat", Key: "k"}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(when string) {
		for _, key := range strings.Fields(server.MustDo("KEYS", "*")) {
			var ms int
			fmt.Sscan(server.MustDo("PTTL", key), &ms)
			if key != "__pregon:run" && (ms < 60_000 || ms > 120_000) {
				t.Errorf("%s: %s expires in %d ms", when, key, ms)
			}
		}
	}
	publishKeyed()
	check("at first")
	server.MustDo("FLUSHALL")
	keep(t, b, "chat", "x")
	check("after FLUSHALL")
	server.MustDo("SCRIPT", "FLUSH")
	server.MustDo("PERSIST", "__pregon:h:chat")
	keep(t, b, "chat", "x")
	check("after another start")
}

// Without history nothing is read, and nothing is kept.
func TestNoHistory(t *testing.T) {
	server := redistest.Start(t)
	b := newBroker(t, options(server.Addr()))
	r, err := b.Publish(guard(t), broker.Message{Channel: "chat", Key: "k", Position: broker.Position{Epoch: 1}})
	if err != nil || r != (broker.Receipt{}) {
		t.Errorf("Publish returned %+v, %v", r, err)
	}
	if _, err := b.History(guard(t), "chat", broker.Query{Limit: 1}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("History: error %v, want one that matches ErrUnsupported", err)
	}
	if keys := server.MustDo("KEYS", "*"); keys != "" {
		t.Errorf("there are keys: %s", keys)
	}
}
