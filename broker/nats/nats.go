package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// Options are the settings of a Broker. Zero values mean the defaults, but for Servers.
type Options struct {
	Servers []string // "host:port" of each server, of which one that answers is used

	Username, Password string
	Credentials        natsgo.Option // from a file, in place of a user; nil for none
	TLS                *tls.Config   // nil for plain text; not to be changed after New

	// Prefix stands before every subject. With a History it ends with a dot.
	Prefix string

	// History says how much of each channel JetStream keeps; zero keeps nothing. InMemory keeps it in
	// the server's memory, and not in its files. Replicas is on how many servers it is kept; default 1.
	// Subjects are what the stream stores without a Prefix, beside subjects of one token; see the
	// package's documentation.
	History  broker.Retention
	InMemory bool
	Replicas int
	Subjects []string

	// Lossy lets servers be a cluster without a History, though that loses messages without a word: see
	// Broker.NotPromised. It is refused with a History.
	Lossy bool

	// DialTimeout bounds one attempt to connect; default 5 s. Timeout bounds the wait for the answer
	// to what was published; default 3 s.
	DialTimeout, Timeout time.Duration

	// Heartbeat is how long a connection may be silent before the server is asked whether it is
	// there; as long again without an answer, and it is lost. Default 2 s.
	Heartbeat time.Duration

	Logger *slog.Logger // default slog.Default(), asked when something is logged

	names names
	loses *atomic.Bool // a server was one of a cluster, and Lossy lets it be
}

func (o Options) withDefaults() Options {
	o.DialTimeout = orDefault(o.DialTimeout, 5*time.Second)
	o.Timeout = orDefault(o.Timeout, 3*time.Second)
	o.Heartbeat = orDefault(o.Heartbeat, 2*time.Second)
	o.Replicas = max(o.Replicas, 1)
	o.names, o.loses = newNames(o), new(atomic.Bool)
	return o
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (o Options) logger() *slog.Logger {
	if o.Logger != nil {
		return o.Logger
	}
	return slog.Default()
}

// A Broker is a node's connections to NATS: one to publish by, one to read the history by, and one per Feed.
type Broker struct {
	opts      Options
	seen      *memory
	closing   context.Context
	end       context.CancelFunc
	publisher *publisher
	reader    *reader

	restored atomic.Uint64 // links of feeds

	mu    sync.Mutex
	feeds map[*Feed]struct{}
}

var (
	_ broker.Broker         = (*Broker)(nil)
	_ broker.BatchPublisher = (*Broker)(nil)
	_ broker.Linked         = (*Broker)(nil)
)

// New returns a Broker. It contacts nobody. The caller closes it.
func New(o Options) (*Broker, error) {
	if len(o.Servers) == 0 {
		return nil, errors.New("nats: no server")
	}
	if !o.History.IsZero() && o.Prefix != "" && !strings.HasSuffix(o.Prefix, ".") {
		return nil, errors.New("nats: with a history the prefix ends with a dot")
	}
	if !o.History.IsZero() && o.Lossy {
		return nil, errors.New("nats: with a history nothing is lossy")
	}
	b := &Broker{opts: o.withDefaults(), seen: &memory{}, feeds: map[*Feed]struct{}{}}
	b.closing, b.end = context.WithCancel(context.Background())
	b.publisher = newPublisher(b.closing, b.opts, b.seen)
	b.reader = newReader(b.closing, b.opts, b.seen)
	return b, nil
}

// Publish implements broker.Broker.
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	result := b.PublishBatch(ctx, []broker.Message{m})[0]
	return result.Receipt, result.Err
}

// PublishBatch implements broker.BatchPublisher.
func (b *Broker) PublishBatch(ctx context.Context, messages []broker.Message) []broker.Result {
	results := b.publisher.publish(ctx, &call{messages: slices.Clone(messages)})
	for i, r := range results {
		if r.Err != nil {
			results[i].Err = fmt.Errorf("nats: publish: %w", r.Err)
		}
	}
	return results
}

// Feed implements broker.Broker.
func (b *Broker) Feed(context.Context) (broker.Feed, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closing.Err() != nil {
		return nil, fmt.Errorf("nats: feed: %w", broker.ErrClosed)
	}
	f := newFeed(b.opts, b.seen, func(f *Feed) {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.feeds, f)
	}, func() { b.restored.Add(1) })
	b.feeds[f] = struct{}{}
	return f, nil
}

// Link implements broker.Linked.
func (b *Broker) Link() broker.Link {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := broker.Link{Up: true, Restored: b.restored.Load()}
	for f := range b.feeds {
		now.Up = now.Up && f.isUp()
	}
	return now
}

// Close implements broker.Broker.
func (b *Broker) Close() error {
	b.end()
	b.mu.Lock()
	open := make([]*Feed, 0, len(b.feeds))
	for f := range b.feeds {
		open = append(open, f)
	}
	b.mu.Unlock()
	for _, f := range open {
		_ = f.Close() // never fails
	}
	b.publisher.wait()
	b.reader.close()
	return nil
}
