package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	handshakes   = 64                     // at once
	pollTime     = time.Millisecond       // between looks at what has arrived
	lingerTime   = 100 * time.Millisecond // in which a double of the last delivery is caught
	interruptMax = 2 * time.Second        // for what is under way when the run is told to stop
)

// A round is one measurement of one server.
type round struct {
	options     *Options
	target      target
	epoch       time.Time
	channels    []*channel
	subscribers []*subscriber
	publishers  []*publisher
	recorders   []*recorder
	shared      []*shared
	readers     sync.WaitGroup
	connected   atomic.Int64
	accepted    atomic.Int64
	expected    atomic.Int64
}

func newRound(o *Options, t target) *round {
	r := &round{options: o, target: t, epoch: time.Now(), channels: newChannels(o), recorders: newRecorders()}
	for i := range o.Subscribers {
		if o.HTTP2 && i%streamsPerConnection == 0 {
			r.shared = append(r.shared, newShared(t))
		}
		c := r.channels[i%o.Channels]
		r.subscribers = append(r.subscribers, &subscriber{
			channel: c, epoch: r.epoch, size: o.Size, recorder: r.recorders[i%shards],
			sequences: make([]sequence, len(c.publishers)),
		})
		if o.HTTP2 {
			r.subscribers[i].shared = r.shared[len(r.shared)-1]
		}
	}
	for i := range o.Publishers {
		p := &publisher{number: i, target: t, epoch: r.epoch, accepted: &r.accepted, expected: &r.expected, latency: newHistogram()}
		p.way = newWay(p, o)
		r.publishers = append(r.publishers, p)
	}
	for _, c := range r.channels {
		for _, i := range c.publishers {
			p := r.publishers[i]
			p.outlets = append(p.outlets, p.way.outlet(c, o.Size))
		}
	}
	return r
}

// run measures. It returns an error where it could not begin. Where ctx ends
// during the measurement, it ends early.
func (r *round) run(ctx context.Context, w *watch) (*measurement, error) {
	m := &measurement{}
	before, known1 := residentOf(r.target.pid)
	defer r.disconnect()
	if err := r.connect(ctx); err != nil {
		return nil, err
	}
	select {
	case <-time.After(r.options.Settle):
	case <-ctx.Done():
		return nil, errInterrupted
	}
	after, known2 := residentOf(r.target.pid)
	m.memory, m.memKnown = after-before, known1 && known2
	server, known1 := cpuOf(r.target.pid)
	client, known2 := cpuOf(os.Getpid())
	start := time.Since(r.epoch)
	w.begin(start)
	r.publish(ctx, start)
	m.publishing = time.Since(r.epoch) - start
	r.drain(ctx)
	serverEnd, known3 := cpuOf(r.target.pid)
	clientEnd, known4 := cpuOf(os.Getpid())
	m.serverCPU, m.cpuKnown = serverEnd-server, known1 && known3
	m.clientCPU, m.clientKnown = clientEnd-client, known2 && known4
	m.series = w.end()
	time.Sleep(lingerTime)
	r.disconnect()
	r.tally(m, start)
	return m, nil
}

// connect opens all connections, a bounded number at a time, and leaves a reader
// with each. The first error ends it.
func (r *round) connect(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	turns := make(chan struct{}, handshakes)
	var opening sync.WaitGroup
	for i, s := range r.subscribers {
		turns <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		opening.Go(func() {
			defer func() { <-turns }()
			if err := s.connect(ctx, r.target, r.options); err != nil {
				cancel(fmt.Errorf("connect subscriber %d of %d: %w", i+1, len(r.subscribers), err))
				return
			}
			s.opened.Store(true)
			r.connected.Add(1)
			r.readers.Go(s.read)
		})
	}
	opening.Wait()
	for _, p := range r.publishers {
		if err := p.way.open(ctx); err != nil && ctx.Err() == nil {
			cancel(fmt.Errorf("connect a publisher: %w", err))
		}
	}
	if errors.Is(context.Cause(ctx), context.Canceled) {
		return errInterrupted
	}
	return context.Cause(ctx)
}

// publish returns when all publishers are done.
func (r *round) publish(ctx context.Context, start time.Duration) {
	pace := pacer{epoch: r.epoch, start: start, rate: r.options.Rate, nap: nap}
	var publishing sync.WaitGroup
	for _, p := range r.publishers {
		publishing.Go(func() { p.run(ctx, pace, len(r.publishers), r.options) })
	}
	publishing.Wait()
}

// drain waits until everything has arrived or nothing more comes.
func (r *round) drain(ctx context.Context) {
	silence := r.options.Drain
	if ctx.Err() != nil {
		silence = min(silence, interruptMax)
	}
	last, since := r.delivered(), time.Now()
	for last < r.expected.Load() && time.Since(since) < silence {
		time.Sleep(pollTime)
		if now := r.delivered(); now != last {
			last, since = now, time.Now()
		}
	}
}

// delivered returns how many deliveries there were, each counted once.
func (r *round) delivered() (n int64) {
	for _, recorder := range r.recorders {
		n += recorder.distinct.Load()
	}
	return n
}

// disconnect ends all connections and waits for their readers. It may be called
// again.
func (r *round) disconnect() {
	for _, s := range r.subscribers {
		if s.opened.Swap(false) {
			s.close()
		}
	}
	for _, p := range r.publishers {
		p.way.hangUp()
	}
	r.readers.Wait()
	for _, s := range r.shared {
		s.pool.CloseIdleConnections()
	}
}
