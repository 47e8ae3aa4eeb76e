package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// A channel that Redis does not allow any more ends alone, with its reason; the
// others of the node go on, without a hole where there is a history.
func TestFoundDeniedChannelAlone(t *testing.T) {
	for _, history := range []string{"", keepHistory} {
		t.Run("history "+history, func(t *testing.T) {
			redis := redistest.Start(t)
			redis.MustDo("ACL", "SETUSER", "node", "on", ">secret", "allkeys", "allcommands", "resetchannels", "&open", "&shut", "&__pregon*")
			n := start(t, server.Options{Broker: open(t, "redis://node:secret@"+redis.Addr()+history)})
			shut, other := n.ws("/ws/shut"), n.ws("/ws/open?format=json")
			both := n.ws("/ws?channel=shut&channel=open&format=json")
			n.publish("open", "before")
			for _, c := range []*websocket.Conn{other, both} {
				read(t, c)
			}
			redis.MustDo("ACL", "SETUSER", "node", "resetchannels", "&open", "&__pregon*")
			if _, err := readErr(shut); !websocket.IsCloseError(err, 4100) {
				t.Errorf("who listens to that channel only: %v, want a close with 4100", err)
			}
			awaitFrame(t, both, `{"type":"gap","channel":"shut","reason":"denied"}`)
			if history == "" { // without one the cut link is a hole
				awaitFrame(t, other, `{"type":"gap","channel":"open","reason":"link-lost"}`)
			}
			n.awaitReady(http.StatusOK)
			n.publish("open", "after")
			for _, c := range []*websocket.Conn{other, both} {
				awaitFrame(t, c, `"data":"after"`)
			}
			if c, err := n.dial("/ws/shut"); err == nil {
				_ = c.Close()
				t.Error("a channel that is denied can be joined")
			}
			redis.MustDo("ACL", "SETUSER", "node", "&shut")
			again := n.ws("/ws/shut")
			n.publish("shut", "allowed")
			if got := read(t, again); got != "[shut] allowed" {
				t.Error(got)
			}
		})
	}
}

// awaitFrame reads from c until a frame has part. Other frames may be gaps.
func awaitFrame(t *testing.T, c *websocket.Conn, part string) {
	t.Helper()
	for {
		got := read(t, c)
		if strings.Contains(got, part) {
			return
		}
		if !strings.Contains(got, `"type":"gap"`) {
			t.Fatalf("got %s, want %s", got, part)
		}
	}
}
