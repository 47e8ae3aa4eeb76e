package redis

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// notPromised is what a Redis Cluster does not promise. What reaches one master is carried to the others
// by their bus: one after the other for each pair of masters, and without a word where
// the bus is broken.
const notPromised = "Order is kept, and a loss is told, only between nodes that use the same master of the Redis Cluster. What comes by way of the cluster's bus may be out of order, and is lost without a word where the bus between two masters is broken."

// NotPromised implements [broker.Lossy].
func (b *Broker) NotPromised() string {
	if b.shard.inCluster.Load() {
		return notPromised
	}
	return ""
}

// greeting returns what greets each new connection for publishing: as greet does, and then it notes whether the
// server is in a cluster. HELLO needs no permission; a server that does not know it is in none that is known of.
func (s *shard) greeting(greet func(context.Context, *goredis.Conn) error) func(context.Context, *goredis.Conn) error {
	return func(ctx context.Context, c *goredis.Conn) error {
		if err := greet(ctx, c); err != nil || s.inCluster.Load() {
			return err
		}
		says, err := c.Hello(ctx, wire.Version, "", "", "").Result()
		if err != nil && !reply.IsReply(err) {
			return err
		}
		s.inCluster.Store(says["mode"] == "cluster")
		return nil
	}
}
