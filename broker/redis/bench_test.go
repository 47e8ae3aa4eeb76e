package redis_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Publishing by so many callers at a time, each waiting for its answer.
func BenchmarkPublish(b *testing.B) {
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
