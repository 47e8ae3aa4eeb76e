package brokertest

import (
	"context"
	"errors"
	"fmt"

	"github.com/pregon/pregon/broker"
)

// testHistoryFirst reads the history at once when a message is heard. What publishers
// say about positions does not count.
func testHistoryFirst(f *fixture) {
	p, other := f.past(), f.past()
	r := f.read(f.feed(p.node, "c"))
	after := p.keep("c", "first")
	r.message()
	for i := range scaled(200) {
		text := fmt.Sprint(i)
		claim := broker.Position{Epoch: after.Epoch, Seq: after.Seq + 1<<20}
		_, err := other.node.Publish(f.Context(), broker.Message{Channel: "c", Data: []byte(text), Position: claim, Prev: claim, Key: text})
		if err != nil {
			f.Fatalf("publishing: %v", err)
		}
		m := r.message()
		if !m.Follows(after) || m.Key != "" {
			f.Fatalf("heard %v, which says that it follows %v, behind %v; its key is %q", m.Position, m.Prev, after, m.Key)
		}
		page := p.read("c", after, 10)
		if len(page.Messages) != 1 || page.Messages[0].Position != m.Position || page.Messages[0].Key != "" || !page.Complete {
			f.Fatalf("the message at %v was heard; behind %v there is %+v", m.Position, after, page)
		}
		after = m.Position
	}
}

// testHistoryCalls makes the calls that must fail.
func testHistoryCalls(f *fixture) {
	p := f.past()
	p.keep("c", "1")
	ended, end := context.WithCancel(f.Context())
	end()
	for what, read := range readings(p.kept) {
		if err := read(f.Context(), ""); err == nil {
			f.Errorf("%s of the empty name was accepted", what)
		}
		if err := read(ended, "c"); err == nil {
			f.Errorf("%s with an ended context was accepted", what)
		}
		if err := read(f.Context(), "c"); err != nil {
			f.Errorf("%s: %v", what, err)
		}
	}
	if newest, err := p.kept.Newest(f.Context()); err != nil || len(newest) != 0 {
		f.Errorf("Newest of no channels: %v, %v", newest, err)
	}
	if err := p.kept.Keep(f.Context()); err != nil {
		f.Errorf("Keep of no channels: %v", err)
	}
	f.closes("Broker.Close", p.node.Close)
	for what, read := range readings(p.kept) {
		if err := read(f.Context(), "c"); !errors.Is(err, broker.ErrClosed) {
			f.Errorf("%s of a closed Broker: %v; want ErrClosed", what, err)
		}
	}
}

// testNoHistory is about nodes that keep none, whether or not they could.
func testNoHistory(f *fixture) {
	node := f.node()
	r := f.read(f.feed(node, "c"))
	claim := broker.Position{Epoch: 7, Seq: 1}
	for range 2 { // the key has no effect
		receipt, err := node.Publish(f.Context(), broker.Message{Channel: "c", Data: []byte("x"), Key: "key", Position: claim, Prev: claim})
		if err != nil || receipt != (broker.Receipt{}) {
			f.Fatalf("publishing without a history: %+v, %v", receipt, err)
		}
		if m := r.message(); !m.Position.IsZero() || !m.Prev.IsZero() || m.Key != "" {
			f.Fatalf("heard without a history: a message at %v, behind %v, with the key %q", m.Position, m.Prev, m.Key)
		}
	}
	h, ok := node.(broker.Historian)
	if !ok {
		return
	}
	for what, read := range readings(h) {
		if err := read(f.Context(), "c"); !errors.Is(err, errors.ErrUnsupported) {
			f.Errorf("%s without a history: error %v, want one that matches ErrUnsupported", what, err)
		}
	}
}
