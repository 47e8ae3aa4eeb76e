package hub

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/server/hub/interest"
)

// Errors of Join.
var (
	// ErrDraining means that the hub takes no new sessions because it stops.
	ErrDraining = errors.New("hub: draining")
	// ErrNotConfirmed means that the broker has not confirmed the channels in
	// time. It wraps what the broker last said.
	ErrNotConfirmed = interest.ErrNotConfirmed
)

// Options are the settings of a Hub. Zero values mean the defaults.
type Options struct {
	Logger *slog.Logger // where to log; default slog.Default()

	Workers          int           // writing goroutines; default GOMAXPROCS
	UnsubscribeDelay time.Duration // how long an unused channel stays; default 2 s
	PingInterval     time.Duration // between pings to a client; default 25 s
	PongTimeout      time.Duration // silence after which a client is gone; default 55 s
	Heartbeat        time.Duration // between messages to ourselves; default 1 s
	EndRate          int           // clients ended a second after a gap; default 1000

	// Strangers reports whether other programs are known to publish in a channel beside its
	// history: where a link was lost its clients are told a gap, though none was heard there
	// yet. It is asked then, concurrently, and must not wait. Nil means in none.
	Strangers func(channel string) bool

	// Delivered is told of messages that have a Traceparent: once per message and worker that has subscribers for it, when
	// all of those were handed it. It is called by the workers, concurrently, and must not wait. Nil costs nothing.
	Delivered func(Delivery)

	// Timed has DeliveryTimes say how long deliveries take. It costs one look at the clock per message,
	// and one for all that a worker has sent in a turn.
	Timed bool

	MaxChannels int // of one session; default any number

	// DropOldest says what becomes of a client that does not read fast enough:
	// the older half of what waits for it is dropped and a gap told in its
	// place. Otherwise, and where its encoding has no words for a gap, it is
	// disconnected.
	DropOldest bool

	// CatchUp is the third way, for brokers with history: what comes while too
	// much waits is not kept, and the client is fed from the history at its own
	// pace until it is level. It excludes DropOldest.
	CatchUp bool
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	setDefault(&o.Workers, runtime.GOMAXPROCS(0))
	setDefault(&o.UnsubscribeDelay, 2*time.Second)
	setDefault(&o.PingInterval, 25*time.Second)
	setDefault(&o.PongTimeout, 55*time.Second)
	setDefault(&o.Heartbeat, time.Second)
	setDefault(&o.EndRate, 1000)
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// A Hub fans out the messages of one broker to the sessions of one node.
type Hub struct {
	broker  broker.Broker
	options Options
	log     *slog.Logger
	workers []*worker
	health  *heartbeat
	counts  counts
	filler  *backfill.Filler // nil where there is no history
	replay  *replay

	topics *directory

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu       sync.RWMutex
	sessions int
	over     map[string]int // sessions of each transport
	joined   uint64         // sessions ever; it spreads them over the workers
	draining bool

	empty chan struct{} // closed when draining and no session is left
}

// New returns a Hub on b, which it uses until Close and does not close. It does
// not wait for the broker: see Check.
func New(ctx context.Context, b broker.Broker, o Options) (*Hub, error) {
	h := &Hub{broker: b, options: o.withDefaults(), over: map[string]int{}, empty: make(chan struct{})}
	h.log = h.options.Logger
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.topics = &directory{counts: &h.counts, traced: h.options.Delivered != nil, topics: map[string]*topic{}}
	if h.options.Timed {
		h.topics.clock.began = time.Now()
	}
	reader := &reader{topics: h.topics, counts: &h.counts, log: h.log}
	var err error
	if h.topics.interest, err = h.newInterest(ctx, reader); err != nil {
		h.cancel()
		return nil, fmt.Errorf("hub: %w", err)
	}
	if history, keeps := broker.HistoryOf(b); keeps {
		marker, _ := b.(broker.Marker)
		h.filler = backfill.New(backfill.Options{History: history, Marker: marker, Logger: h.log, Strangers: h.options.Strangers, Carried: h.topics.carried})
	}
	h.topics.filler, reader.filler = h.filler, h.filler
	h.replay = &replay{filler: h.filler, ctx: h.ctx}
	for range h.options.Workers {
		w := newWorker(h.options, &h.counts, h.topics.clock)
		w.lead = float64(len(h.workers)) / float64(h.options.Workers)
		h.workers = append(h.workers, w)
		h.tasks.Go(func() { w.run(h.ctx) })
	}
	h.health = newHeartbeat(h)
	h.tasks.Go(func() { h.topics.interest.Run(h.ctx) })
	h.tasks.Go(h.health.run)
	return h, nil
}

// newInterest opens a feed, which carries what the topics want and which r reads.
func (h *Hub) newInterest(ctx context.Context, r *reader) (*interest.Interest, error) {
	return interest.New(ctx, interest.Options{
		Broker: h.broker, Logger: h.log, UnsubscribeDelay: h.options.UnsubscribeDelay,
		Read:    r.readAll,
		Prepare: h.topics.noteEnds,
		Leave:   h.topics.forget,
		Lost:    func(channels ...string) { r.gap(&broker.GapError{Channels: channels, Reason: broker.LinkLost}) },
		Gone:    h.topics.gone,
		Failed:  func(err error) { h.health.failed(err) },
	})
}

// spawn runs task, for which Close waits, unless the hub is closed already, and reports whether
// it does.
func (h *Hub) spawn(task func()) bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.ctx.Err() != nil {
		return false
	}
	h.tasks.Go(task)
	return true
}

// Drain refuses new sessions, delivers what was published before, and ends the
// sessions there are with CloseShutdown, spread evenly over the whole of the given
// time, few as well as many, and all at once for 0. It returns when the last has left,
// ctx ends, or the Hub is closed.
func (h *Hub) Drain(ctx context.Context, over time.Duration) {
	h.mu.Lock()
	started := h.draining
	h.draining = true
	n := h.sessions
	if !started && n == 0 {
		close(h.empty)
	}
	h.mu.Unlock()
	if !started {
		h.health.settle(ctx)
	}
	for _, w := range h.workers {
		w.post(entry{kind: endAll, over: over})
	}
	select {
	case <-h.empty:
	case <-ctx.Done():
	case <-h.ctx.Done():
	}
}

func (h *Hub) isDraining() bool {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.draining
}

// Close stops everything the Hub runs and waits for it. The Sockets of sessions
// that are still there are closed.
func (h *Hub) Close() {
	h.mu.Lock()
	h.draining = true
	h.cancel() // under the lock: see spawn
	h.mu.Unlock()
	if h.filler != nil {
		h.filler.Close()
	}
	h.tasks.Wait()
}
