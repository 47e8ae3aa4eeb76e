package redis

import (
	"context"
	"fmt"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/route"
)

func init() { goredis.SetLogger(silence{}) }

// silence is the logger that go-redis is given, see the package comment.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// A Broker publishes to one Redis, or to the master that Sentinels name, and opens
// Feeds from it. It implements [broker.Broker] and its optional interfaces: with a history
// [broker.Historian], [broker.Retainer], [broker.Marker] and [broker.Clearer], and always
// [broker.BatchPublisher], [broker.Diagnoser], [broker.Linked], [broker.Lossy], [broker.Verifier] and
// [broker.Scripter].
type Broker struct {
	opts     Options
	shard    *shard // see route
	rejected atomic.Uint64

	closing context.Context // ends what is running when the Broker is closed
	close   context.CancelFunc
}

// New returns a Broker. It checks the options and does not wait for Redis. The
// caller closes it.
func New(o Options) (*Broker, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	b := &Broker{opts: o}
	b.closing, b.close = context.WithCancel(context.Background())
	b.shard = newShard(o, b.closing, b.reject)
	return b, nil
}

// route returns the shard of a channel. There is one; of a cluster, each range of slots
// is another.
func (b *Broker) route(string) *shard { return b.shard }

func (b *Broker) closed() bool { return b.closing.Err() != nil }

// Publish implements broker.Broker. It returns as soon as a deadline of ctx has
// passed. A cancellation is noticed while it waits for others or for a
// connection.
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	result := b.PublishBatch(ctx, []broker.Message{m})[0]
	return result.Receipt, result.Err
}

// PublishBatch implements [broker.BatchPublisher] with pipelines of a few hundred
// messages. Where one fails for a reason that concerns others, those behind it are not
// tried.
func (b *Broker) PublishBatch(ctx context.Context, messages []broker.Message) []broker.Result {
	results, aborted := make([]broker.Result, 0, len(messages)), false
	for len(messages) > 0 {
		s, some, rest := route.Next(messages, func(m broker.Message) *shard { return b.route(m.Channel) })
		messages = rest
		if aborted {
			results = s.pipeline.NotTried(results, some)
		} else {
			results, aborted = s.pipeline.Publish(ctx, results, some)
		}
	}
	return results
}

// Feed implements broker.Broker.
func (b *Broker) Feed(context.Context) (broker.Feed, error) {
	f, err := b.shard.feed()
	if err != nil {
		return nil, fmt.Errorf("redis: feed: %w", err)
	}
	return f, nil
}

// reject notes a message that claims a position and cannot prove it.
func (b *Broker) reject() {
	if b.rejected.Add(1) == 1 {
		b.opts.logger().Warn("redis: another program publishes what looks like messages of this deployment; they are ignored, and counted")
	}
}

// Rejected implements [broker.Verifier].
func (b *Broker) Rejected() uint64 { return b.rejected.Load() }

// Link implements [broker.Linked].
func (b *Broker) Link() broker.Link { return b.shard.link() }

// Close implements broker.Broker. A publication that is under way ends with an
// unknown outcome.
func (b *Broker) Close() error {
	b.close()
	b.shard.close()
	return nil
}
