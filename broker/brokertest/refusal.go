package brokertest

import (
	"context"

	"github.com/pregon/pregon/broker"
)

func testEmptyName(f *fixture) {
	ctx := f.Context()
	node := f.node()
	feed := f.feed(node, "chat")
	r := f.read(feed)
	if _, err := node.Publish(ctx, broker.Message{Data: []byte("lost")}); err == nil {
		f.Errorf("Publish to the empty name was accepted")
	}
	for _, names := range [][]string{{""}, {"new", ""}, {"", "new"}, {"chat", "", "new"}} {
		if err := feed.Subscribe(ctx, names...); err == nil {
			f.Errorf("Subscribe(%q) was accepted", names)
		}
	}
	f.say(node, "new", "to a channel that was not added")
	r.hear(f.say(node, "chat", "end"))
}

func testContexts(f *fixture) {
	ended, end := context.WithCancel(f.Context())
	node := f.node()
	opened, err := node.Feed(ended)
	if err != nil {
		f.Fatalf("Feed: %v", err)
	}
	r := f.read(opened)
	if err := opened.Subscribe(ended, "chat", "gone"); err != nil {
		f.Fatalf("Subscribe: %v", err)
	}
	end()
	r.hear(f.say(node, "chat", "after the contexts of Feed and Subscribe ended"))

	if _, err := node.Publish(ended, broker.Message{Channel: "chat", Data: []byte("never")}); err == nil {
		f.Errorf("Publish with an ended context was accepted")
	}
	if err := opened.Subscribe(ended, "new"); err == nil {
		f.Errorf("Subscribe with an ended context was accepted")
	}
	_ = opened.Unsubscribe(ended, "gone") // silent from here on, whether it fails or not
	if feed, err := node.Feed(ended); err == nil {
		f.closes("Feed.Close", feed.Close)
	}
	f.say(node, "new", "to a channel that was not added")
	f.say(node, "gone", "to a channel that was removed")
	r.hear(f.say(node, "chat", "end"))
}
