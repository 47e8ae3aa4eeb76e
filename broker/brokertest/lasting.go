package brokertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
)

// maxBrief is the longest Age of a history for the case that waits for several.
const maxBrief = 2 * time.Second

// testHistoryProlonged asks for the newest position for much longer than Age. A
// machine that is late proves nothing; then it begins again.
func testHistoryProlonged(f *fixture) {
	p := f.past()
	age := p.kept.Retention().Age
	if age > maxBrief {
		f.Fatalf("the history is too long for this test: %v", age)
	}
	for i := range 10 {
		if p.prolong(fmt.Sprint("c", i), age) {
			return
		}
	}
	f.Fatalf("the machine is too slow for this test")
}

// prolong reports false where it was late.
func (p past) prolong(channel string, age time.Duration) bool {
	p.Helper()
	used := time.Now() // the latest time at which the channel may have been used last
	first := p.keep(channel, "1")
	for began := used; time.Since(began) < 6*age; {
		<-time.After(age / 4)
		now := time.Now()
		p.newest(channel)
		if time.Since(used) > age/2 {
			return false
		}
		used = now
	}
	second := p.keep(channel, "2")
	if time.Since(used) > age/2 {
		return false
	}
	if got := p.rest(channel, first, 10); len(got) != 1 {
		p.Fatalf("although Newest was called all the time, %v is at the end, and behind %v are %d messages", second, first, len(got))
	}
	return true
}

// newest returns the newest position of a channel.
func (p past) newest(channel string) broker.Position {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	newest, err := p.kept.Newest(ctx, channel)
	if err != nil || len(newest) != 1 {
		p.Fatalf("Newest of one channel: %v, %v", newest, err)
	}
	return newest[0]
}

// keyTime is for how long testHistoryKeysLast publishes with other keys: far shorter
// than any history, and longer than a cache of what was published just now.
const keyTime = 300 * time.Millisecond

func testHistoryKeysLast(f *fixture) {
	p := f.past()
	first := p.keyed("c", "key")
	if first.Repeated {
		f.Fatalf("a key that is new counts as repeated")
	}
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for i, began := 0, time.Now(); time.Since(began) < keyTime; i++ {
		<-pace.C
		p.keyed("busy", fmt.Sprint(i))
	}
	if again := p.keyed("c", "key"); !again.Repeated || again.Position != first.Position {
		f.Fatalf("a key whose message is kept is published again after %v: %+v", keyTime, again)
	}
	if page := p.read("c", broker.Position{}, 10); len(page.Messages) != 1 {
		f.Fatalf("%d messages with one key are kept", len(page.Messages))
	}
}

// keyed publishes with a key.
func (p past) keyed(channel, key string) broker.Receipt {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	receipt, err := p.node.Publish(ctx, broker.Message{Channel: channel, Data: []byte("x"), Key: key})
	if err != nil {
		p.Fatalf("publishing with a key: %v", err)
	}
	return receipt
}

// testUnreachable is about nodes whose backend is not there: nothing can have been
// sent.
func testUnreachable(f *fixture) {
	node := f.node()
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	unavailable := func(what string, err error) {
		f.Helper()
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
			f.Errorf("%s without a backend: error %v, want one that matches ErrUnavailable only", what, err)
		}
	}
	m := broker.Message{Channel: "chat", Data: []byte("x")}
	_, err := node.Publish(ctx, m)
	unavailable("Publish", err)
	for _, result := range broker.PublishAll(ctx, node, []broker.Message{m, m}) {
		unavailable("PublishAll", result.Err)
	}
	feed, err := node.Feed(ctx)
	if err != nil {
		f.Fatalf("Feed does not wait for the backend: %v", err)
	}
	f.Cleanup(func() { f.closes("Feed.Close", feed.Close) })
	unavailable("Add", feed.Add(ctx, "chat"))
}
