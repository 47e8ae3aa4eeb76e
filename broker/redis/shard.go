package redis

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/link"
	"github.com/pregon/pregon/broker/redis/internal/pipeline"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/internal/stream"
	"github.com/pregon/pregon/broker/redis/internal/topology"
	"github.com/pregon/pregon/broker/redis/internal/wire"
)

// A shard is one master and all that this node has to do with it: a pipeline to it, the
// streams that it keeps, and links from it. What is published to a channel, kept of it
// and heard of it is all on the same shard.
type shard struct {
	opts    Options
	closing context.Context // of the Broker
	reject  func()          // of a message that is not believed

	restored atomic.Uint64 // links of feeds

	master   topology.Master
	client   *goredis.Client
	pipeline *pipeline.Pipeline
	history  *stream.Server // nil where none is kept

	dials     atomic.Int64 // for client's pool, and for feeds
	inCluster atomic.Bool  // the server has said so

	mu      sync.Mutex
	feeds   map[*link.Feed]struct{}
	running sync.WaitGroup // dials, and the watch of the master
}

func newShard(o Options, closing context.Context, reject func()) *shard {
	s := &shard{opts: o, closing: closing, reject: reject, master: o.master(), feeds: map[*link.Feed]struct{}{}}
	settings := o.settings()
	if settings.Greet == nil {
		settings.Greet = topology.Greet
	}
	settings.Greet = s.greeting(settings.Greet)
	s.client = goredis.NewClient(settings.Client(s.dial))
	out := pipeline.NewTransmitter(s.client, closing)
	publish := pipeline.Options{Transmitter: out, Timeout: o.Timeout, Prefix: o.Prefix, Demoted: s.master.Demoted}
	if !o.History.IsZero() {
		s.history = stream.NewServer(stream.Options{
			Client: s.client, Prefix: o.Prefix, Retention: o.History,
			Dials: s.dials.Load, Heard: s.heard, SecretChanged: s.doubt,
		})
		publish.Send = stream.NewWriter(s.history, out).Send
	}
	s.pipeline = pipeline.New(publish)
	s.running.Go(func() { s.master.Watch(closing) })
	return s
}

// dial makes a connection for the pool.
func (s *shard) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	s.mu.Lock()
	if s.closing.Err() != nil {
		s.mu.Unlock()
		return nil, broker.ErrClosed
	}
	s.running.Add(1)
	s.mu.Unlock()
	s.dials.Add(1)
	defer s.running.Done()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.closing, cancel)
	defer stop()
	c, err := s.master.Connect(ctx)
	if err != nil {
		return wire.Unreachable{Err: fmt.Errorf("%w", err)}, nil // go-redis unwraps once
	}
	return c.Pooled(), nil
}

// feed opens a Feed.
func (s *shard) feed() (*link.Feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing.Err() != nil {
		return nil, broker.ErrClosed
	}
	o := link.Options{
		Settings: s.opts.settings(), Connect: s.connectFeed, Prefix: s.opts.Prefix,
		Heartbeat: s.opts.Heartbeat, Logger: s.opts.logger(),
		Restored: func() { s.restored.Add(1) }, Reject: s.reject, Closed: s.forget,
	}
	if s.history != nil {
		o.History = s.history
	}
	f := link.New(o)
	s.feeds[f] = struct{}{}
	return f, nil
}

// connectFeed makes a connection for a Feed. It counts as one for the pool: a server that the Feed
// was on before may have numbered messages that the pool's server does not know, and is to be told
// of with the next publication. The Feed is the witness.
func (s *shard) connectFeed(ctx context.Context) (*wire.Conn, error) {
	c, err := s.master.Connect(ctx)
	if err == nil {
		s.dials.Add(1)
	}
	return c, err
}

func (s *shard) forget(f *link.Feed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.feeds, f)
}

// doubt has all Feeds report that messages may be missing.
func (s *shard) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.feeds {
		f.Doubt()
	}
}

// cleared has all Feeds that carry a channel report that its history was cleared.
func (s *shard) cleared(channel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.feeds {
		f.Cleared(channel)
	}
}

// link returns how the links of feeds are.
func (s *shard) link() broker.Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := broker.Link{Up: true, Restored: s.restored.Load()}
	for f := range s.feeds {
		now.Up = now.Up && f.IsUp()
	}
	return now
}

// heard are the witnesses of what the Feeds have heard.
func (s *shard) heard() []seal.Witness {
	s.mu.Lock()
	defer s.mu.Unlock()
	heard := make([]seal.Witness, 0, len(s.feeds)+1)
	for f := range s.feeds {
		heard = append(heard, f.Witness())
	}
	return heard
}

// close closes the Feeds and ends all else. The Broker's context has ended.
func (s *shard) close() {
	s.mu.Lock()
	open := make([]*link.Feed, 0, len(s.feeds))
	for f := range s.feeds {
		open = append(open, f)
	}
	s.mu.Unlock()
	for _, f := range open {
		f.Close()
	}
	s.client.Close() // twice is harmless
	s.pipeline.Close()
	s.running.Wait()
}
