package live_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport/live/livetest"
)

// expect reads frames, in any order, each of which begins with one of wanted.
func expect(t *testing.T, c *livetest.Client, wanted ...string) {
	t.Helper()
	left := wanted
	for range wanted {
		got := c.Next()
		var rest []string
		for i, want := range left {
			if strings.HasPrefix(got, want) {
				rest = append(rest, left[i+1:]...)
				break
			}
			rest = append(rest, want)
		}
		if len(rest) == len(left) {
			t.Fatalf("got %s, none of %q", got, left)
		}
		left = rest
	}
}

// Each channel of the address is a subscribe without a ref, and what comes later is answered with
// its ref, byte for byte.
func TestConversation(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	c := n.dial("?channel=a&channel=b")
	expect(t, c, `{"type":"subscribed","channel":"a","id":"`, `{"type":"subscribed","channel":"b","id":"`)
	c.Send(`{"type":"subscribe","ref":1.0e0,"channel":"c"}`)
	expect(t, c, `{"type":"subscribed","ref":1.0e0,"channel":"c","id":"`)
	c.Send(`{"type":"publish","ref":"\u0061","channel":"c","data":"hola"}`)
	expect(t, c, `{"type":"published","ref":"\u0061","channel":"c","id":"`, `{"type":"message","channel":"c","data":"hola","id":"`)
	n.publish("c", "adiós")
	expect(t, c, `{"type":"message","channel":"c","data":"adiós","id":"`)
	c.Send(`{"type":"unsubscribe","channel":"c"}`, `{"type":"unsubscribe","ref":-0,"channel":"c"}`)
	expect(t, c, `{"type":"unsubscribed","channel":"c"}`, `{"type":"unsubscribed","ref":-0,"channel":"c"}`)
}
