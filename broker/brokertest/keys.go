package brokertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

func testHistoryKeys(f *fixture) {
	nodes := []past{f.past(), f.past()}
	r := f.read(f.feed(nodes[0].node, "c", "d"))
	say := func(p past, channel, text, key string) (broker.Receipt, error) {
		ctx, cancel := context.WithTimeout(f.Context(), guard)
		defer cancel()
		return p.node.Publish(ctx, broker.Message{Channel: channel, Data: []byte(text), Key: key})
	}
	for round := range scaled(20) {
		key := fmt.Sprint("key ", round)
		const callers = 16
		var (
			mu    sync.Mutex
			first int
			at    = map[broker.Position]bool{}
		)
		f.begin(callers, func(i int) error {
			receipt, err := say(nodes[i%2], "c", key, key)
			mu.Lock()
			defer mu.Unlock()
			at[receipt.Position] = true
			if !receipt.Repeated {
				first++
			}
			return err
		})()
		if first != 1 || len(at) != 1 {
			f.Fatalf("of %d publications with one key %d were the first, at %d positions", callers, first, len(at))
		}
		receipt, err := say(nodes[0], "d", key, key)
		if err != nil || receipt.Repeated {
			f.Fatalf("the same key in another channel: %+v, %v", receipt, err)
		}
		r.hear(said{"c", key}, said{"d", key})
	}
	longest := strings.Repeat("k", broker.MaxKey)
	for i, repeated := range []bool{false, true} {
		if receipt, err := say(nodes[i], "d", longest, longest); err != nil || receipt.Repeated != repeated {
			f.Fatalf("the longest key that may be, for the %d. time: %+v, %v", i+1, receipt, err)
		}
	}
	r.hear(said{"d", longest})
	if _, err := say(nodes[0], "c", "x", strings.Repeat("k", broker.MaxKey+1)); !errors.Is(err, broker.ErrKey) {
		f.Fatalf("a key that is too long: error %v, want one that matches ErrKey", err)
	}
	r.hear(f.say(nodes[1].node, "c", "end"))
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

// keyed publishes with a key, again where the backend was not there for a moment, as one may be that has
// just begun to keep a history.
func (p past) keyed(channel, key string) broker.Receipt {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	receipt, err := p.node.Publish(ctx, broker.Message{Channel: channel, Data: []byte("x"), Key: key})
	for ; errors.Is(err, broker.ErrUnavailable) && ctx.Err() == nil; receipt, err = p.node.Publish(ctx, broker.Message{Channel: channel, Data: []byte("x"), Key: key}) {
		time.Sleep(10 * time.Millisecond) // between attempts
	}
	if err != nil {
		p.Fatalf("publishing with a key: %v", err)
	}
	return receipt
}
