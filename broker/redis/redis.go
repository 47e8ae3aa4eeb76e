package redis

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

func init() { goredis.SetLogger(silence{}) }

// silence is the logger that go-redis is given, see the package comment.
type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// A Broker publishes to one Redis, or to the master that Sentinels name, and opens
// Feeds from it. It implements [broker.Broker], [broker.BatchPublisher] and
// [broker.Historian].
type Broker struct {
	opts   Options
	client *goredis.Client

	batcher   *batcher
	keeper    *keeper    // nil without history
	sentinels *sentinels // nil without Options.Master

	dials    atomic.Int64 // for the pool
	rejected atomic.Uint64

	closing context.Context // ends what is running when the Broker is closed
	close   context.CancelFunc

	mu      sync.Mutex
	feeds   map[*Feed]struct{}
	running sync.WaitGroup // dials, and the watch of the Sentinels
}

// New returns a Broker. It checks the options and does not wait for Redis. The
// caller closes it.
func New(o Options) (*Broker, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	b := &Broker{opts: o, feeds: map[*Feed]struct{}{}}
	b.closing, b.close = context.WithCancel(context.Background())
	settings := o.client(b.dial)
	if settings.OnConnect == nil {
		settings.OnConnect = greet
	}
	b.client = goredis.NewClient(settings)
	if !o.History.IsZero() {
		b.keeper = newKeeper(b)
	}
	b.batcher = newBatcher(o.Timeout, b.closing.Done(), b.send)
	if o.Master != "" {
		b.sentinels = newSentinels(o)
		b.running.Go(func() { b.sentinels.watch(b.closing) })
	}
	return b, nil
}

// greet makes Redis answer once before a connection is used. What a server says
// of itself on a new connection (too many clients, a password is needed) is then
// known before a publication was written, not in doubt after it. A replica would take
// publications that its master's subscribers never hear; whether it is one need not be
// allowed to be asked.
func greet(ctx context.Context, c *goredis.Conn) error {
	err := demandMaster(ctx, c)
	if reply.IsReply(err) && (strings.HasPrefix(err.Error(), "NOPERM") || strings.HasPrefix(err.Error(), "ERR unknown command")) {
		return c.Ping(ctx).Err()
	}
	return err
}

// dial makes a connection for the pool.
func (b *Broker) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	b.mu.Lock()
	if b.closed() {
		b.mu.Unlock()
		return nil, broker.ErrClosed
	}
	b.running.Add(1)
	b.mu.Unlock()
	b.dials.Add(1)
	defer b.running.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(b.closing, cancel)
	defer stop()
	c, err := b.connect(ctx)
	if err != nil {
		return wire.Unreachable{Err: fmt.Errorf("%w", err)}, nil // go-redis unwraps once
	}
	return c.Pooled(), nil
}

// connect makes a connection for the pool or for a link.
func (b *Broker) connect(ctx context.Context) (*wire.Conn, error) {
	if b.sentinels != nil {
		return b.sentinels.connect(ctx)
	}
	return b.opts.dial(ctx, b.opts.Addr, b.opts.TLS)
}

func (b *Broker) closed() bool { return b.closing.Err() != nil }

// Feed implements broker.Broker; the result is a [*Feed].
func (b *Broker) Feed(context.Context) (broker.Feed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed() {
		return nil, fmt.Errorf("redis: feed: %w", broker.ErrClosed)
	}
	f := newFeed(b)
	b.feeds[f] = struct{}{}
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

// doubt has all Feeds report that messages may be missing.
func (b *Broker) doubt() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for f := range b.feeds {
		f.doubt()
	}
}

func (b *Broker) forget(f *Feed) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.feeds, f)
}

// Close implements broker.Broker. A publication that is under way ends with an
// unknown outcome.
func (b *Broker) Close() error {
	b.mu.Lock()
	b.close()
	open := make([]*Feed, 0, len(b.feeds))
	for f := range b.feeds {
		open = append(open, f)
	}
	b.mu.Unlock()
	for _, f := range open {
		f.Close()
	}
	b.client.Close() // twice is harmless
	b.batcher.close()
	b.running.Wait()
	return nil
}
