package redis_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Whatever a server says instead of, or after, a proper handshake, no call panics
// or hangs.
func FuzzReplies(f *testing.F) {
	for _, replies := range []string{
		"", "\r\n", "+\r\n", "x", ":1", ":1\r\n", "+OK\r\n", "-\r\n", "-ERR\r\n", "$-1\r\n", "*-1\r\n", "*0\r\n",
		"$5\r\nab", "$9999999999\r\n", "$9223372036854775807\r\n", "*9999999999\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n",
		"*3\r\n:1\r\n:2\r\n:3\r\n", "*1\r\n$9\r\nsubscribe\r\n", "*2\r\n$7\r\nmessage\r\n$4\r\nchat\r\n",
		"*3\r\n$9\r\nsubscribe\r\n$4\r\nchat\r\n$1\r\n1\r\n", "*3\r\n$7\r\nmessage\r\n$-1\r\n$-1\r\n",
		"*3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n*1\r\n:1\r\n", "*4\r\n$8\r\npmessage\r\n:1\r\n:1\r\n:1\r\n",
		">3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n$1\r\na\r\n", "%1\r\n*0\r\n+a\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n", "=3\r\na:b\r\n", "_\r\n", "(1\r\n",
		redistest.Confirm([]string{"subscribe", "chat"}) + redistest.Published("chat", "hello"),
		redistest.Confirm([]string{"subscribe", "other"}), redistest.Confirm([]string{"unsubscribe", "chat"}), "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
	} {
		f.Add(replies, false)
		f.Add(replies, true)
	}
	odd := &oddServer{}
	addr := odd.start(f)
	f.Fuzz(func(t *testing.T, replies string, handshake bool) {
		if handshake {
			replies = "-ERR unknown command\r\n+PONG\r\n" + replies
		}
		odd.say(replies)
		o := options(addr)
		o.DialTimeout, o.Timeout, o.Heartbeat = 20*time.Millisecond, 20*time.Millisecond, 20*time.Millisecond
		b := newBroker(t, o)
		defer b.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, _ = b.Publish(ctx, broker.Message{Channel: "chat"})
		feed, err := b.Feed(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if feed.Subscribe(ctx, "chat") == nil {
			_ = feed.Unsubscribe(ctx, "chat")
		}
	})
}

// An oddServer says one thing to every connection, however it is asked.
type oddServer struct {
	mu      sync.Mutex
	replies string
}

func (o *oddServer) say(replies string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replies = replies
}

func (o *oddServer) start(f *testing.F) (addr string) {
	return serve(f, func(c net.Conn) {
		o.mu.Lock()
		replies := o.replies
		o.mu.Unlock()
		if _, err := io.WriteString(c, replies); err == nil {
			io.Copy(io.Discard, c)
		}
	})
}
