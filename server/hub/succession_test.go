package hub_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
)

// word is the last word of a stay.
func word(text string) func() []byte { return func() []byte { return []byte(text) } }

// A stay in a channel begins behind the last word of the one before, though the worker has much else to
// do first and what the next one begins with comes from the history; and the last word knows whether
// its stay has begun.
func TestStaysFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Hour}).Broker()
		defer b.Close()
		h := newHub(t, b, hub.Options{Workers: 1})
		defer h.Close()
		c := converse(t, h, nil)
		c.subscribe(t, "busy", "c")
		publish(t, b, "c", "hola")
		c.reads(t, "subscribed busy\nsubscribed c\nc hola\n")
		free := make(chan struct{})
		c.session.Unsubscribe("busy", func() []byte { <-free; return nil })
		c.session.Unsubscribe("c", word("first\n"))
		for _, last := range []string{"second", "third"} {
			begun := ""
			sub := transport.Subscription{Channel: "c", Start: transport.Start{Last: 1}, Answer: func(transport.Subscribed) ([]byte, bool) {
				begun = "begun "
				return []byte("subscribed\n"), true
			}}
			if err := c.session.Subscribe(t.Context(), sub)[0]; err != nil {
				t.Fatal(err)
			}
			if synctest.Wait(); last == "third" {
				close(free)
				c.reads(t, "first\nsecond\nsubscribed\nc hola\n")
			}
			c.session.Unsubscribe("c", func() []byte { return []byte(begun + last + "\n") })
		}
		c.reads(t, "begun third\n")
		c.leave()
	})
}
