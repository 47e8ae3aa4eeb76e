package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Publishing by so many callers at a time, each waiting for its answer.
func BenchmarkPublish(b *testing.B) { benchmarkPublish(b, options) }

// The same with history.
func BenchmarkPublishWithHistory(b *testing.B) { benchmarkPublish(b, keeping) }

func benchmarkPublish(b *testing.B, options func(addr string) redis.Options) {
	server := redistest.Start(b)
	m := broker.Message{Channel: "chat", Data: make([]byte, 128)}
	b.Run("callers=1", func(b *testing.B) {
		node := newBroker(b, options(server.Addr()))
		for b.Loop() {
			if _, err := node.Publish(context.Background(), m); err != nil {
				b.Fatal(err)
			}
		}
	})
	for _, callers := range []int{8, 64, 512} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			node := newBroker(b, options(server.Addr()))
			b.SetParallelism(callers / runtime.GOMAXPROCS(0))
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := node.Publish(context.Background(), m); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

// Receiving, from the link to Next, of messages that Redis sends as fast as it
// gets them.
func BenchmarkReceive(b *testing.B) {
	server := redistest.Start(b)
	node := newBroker(b, options(server.Addr()))
	feed, err := node.Feed(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	defer feed.Close()
	if err := feed.Subscribe(context.Background(), "chat"); err != nil {
		b.Fatal(err)
	}
	messages := make([]broker.Message, 256)
	for i := range messages {
		messages[i] = broker.Message{Channel: "chat", Data: make([]byte, 128)}
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n-- {
		if n == 0 {
			n = len(messages)
			b.StopTimer()
			for _, r := range broker.PublishAll(context.Background(), node, messages) {
				if r.Err != nil {
					b.Fatal(r.Err)
				}
			}
			b.StartTimer()
		}
		if _, err := feed.Next(); err != nil {
			b.Fatal(err)
		}
	}
}

// Subscribing to ten thousand channels at once, as after the loss of a link.
func BenchmarkAdd(b *testing.B) {
	server := redistest.Start(b)
	node := newBroker(b, options(server.Addr()))
	names := make([]string, 10_000)
	for i := range names {
		names[i] = fmt.Sprintf("channel-%d", i)
	}
	for b.Loop() {
		feed, err := node.Feed(context.Background())
		if err != nil {
			b.Fatal(err)
		}
		if err := feed.Subscribe(context.Background(), names...); err != nil {
			b.Fatal(err)
		}
		if err := feed.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
