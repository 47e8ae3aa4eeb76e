package server_test

import (
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// forgedBeats publishes on the channels of all heartbeats what a program without a
// secret can.
func forgedBeats(redis *redistest.Server) {
	for channel := range strings.Lines(redis.MustDo("PUBSUB", "CHANNELS", "__pregon.heartbeat.*")) {
		for _, p := range []broker.Position{{}, {Epoch: 1}, {Epoch: 1 << 60, Seq: 3}} {
			for _, text := range []string{"alive", "last word", ""} {
				redis.MustDo("PUBLISH", strings.TrimSpace(channel), string(broker.AppendWire(nil, broker.Message{Data: []byte(text), Position: p})))
			}
		}
	}
}

// A heartbeat that another program has made up tells nobody of a gap.
func TestFoundForgedHeartbeats(t *testing.T) {
	for _, url := range []string{"", "?history=5m"} {
		redis := redistest.Start(t)
		n := start(t, server.Options{Broker: open(t, redis.URL()+url)})
		n.awaitReady(200)
		c := n.ws("/ws/chat")
		for range 100 {
			forgedBeats(redis)
		}
		n.awaitReady(200)
		n.publish("chat", "still here")
		if got := read(t, c); got != "[chat] still here" {
			t.Errorf("%q: heard %q", url, got)
		}
	}
}

// While Redis takes no publications the node is not ready, says why, and stays so
// whatever others publish.
func TestFoundNotReadyWithReason(t *testing.T) {
	replica, master := []string{"REPLICAOF", "127.0.0.1", "1"}, []string{"REPLICAOF", "NO", "ONE"}
	for _, c := range []struct {
		url         string
		spoil, cure []string
	}{
		{"?history=5m", []string{"CONFIG", "SET", "maxmemory", "1"}, []string{"CONFIG", "SET", "maxmemory", "0"}},
		{"?history=5m", replica, master},
		{"", replica, master}, // which a node finds out when it connects
	} {
		t.Run(strings.Join(c.spoil, " ")+c.url, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			n := start(t, server.Options{Broker: open(t, redis.URL()+c.url)})
			n.awaitReady(200)
			redis.MustDo(c.spoil...)
			if c.url == "" {
				redis.MustDo("CLIENT", "KILL", "TYPE", "normal")
			}
			n.awaitReady(503)
			for range 10 {
				forgedBeats(redis)
				if status, body := n.get("/readyz"); status != 503 || !strings.Contains(body, "The log says why") {
					t.Errorf("%d %s", status, body)
				}
			}
			redis.MustDo(c.cure...)
			n.awaitReady(200)
		})
	}
}
