package redis_test

import (
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// The Feeds of the node that clears a history report it, and those of others go on. That a
// node knows of a message that was cleared is no sign of a loss to any other channel when
// Redis is started again.
func TestClear(t *testing.T) {
	server := redistest.Start(t, durable...)
	here, there := newBroker(t, keeping(server.Addr())), newBroker(t, keeping(server.Addr()))
	carries, elsewhere, other := newFeed(t, here, "chat"), newFeed(t, there, "chat"), newFeed(t, here, "other")
	last := keep(t, there, "other", "1")
	hear(t, other, "other", "1")
	before := keep(t, here, "chat", "1")
	hear(t, carries, "chat", "1")
	for range 2 { // the second time there is nothing
		if err := here.Clear(guard(t), "chat"); err != nil {
			t.Fatal(err)
		}
	}
	hearGaps(t, carries, map[string]broker.GapReason{"chat": broker.Cleared})
	if n := server.MustDo("EXISTS", "__pregon:h:chat"); n != "0" {
		t.Error("the stream is still there")
	}
	hear(t, elsewhere, "chat", "1")
	if next := keep(t, there, "chat", "2"); next.Epoch <= before.Epoch {
		t.Errorf("after %v, which was cleared, comes %v", before, next)
	}
	hear(t, elsewhere, "chat", "2")
	hear(t, carries, "chat", "2")

	final := keep(t, here, "chat", "3")
	hear(t, carries, "chat", "3")
	hear(t, elsewhere, "chat", "3")
	if err := elsewhere.Close(); err != nil { // it would be a witness
		t.Fatal(err)
	}
	if err := here.Clear(guard(t), "chat"); err != nil {
		t.Fatal(err)
	}
	server.Restart()
	if p := eventually(t, here, "other", "2"); !last.Next(p) {
		t.Errorf("after %v comes %v, with %v cleared in another channel", last, p, final)
	}
}
