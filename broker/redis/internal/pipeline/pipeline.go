package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Bounds of what is sent in one pipeline, beyond one request, and of the requests that
// wait to be taken into one. A caller that finds no place waits for one.
const (
	pipelineMessages = 512
	pipelineBytes    = 1 << 20
	maxWaiting       = 4096
)

var errBusy = errors.New("too many messages are waiting")

// Options are the settings of a Pipeline.
type Options struct {
	*Transmitter
	Timeout time.Duration // of waiting to be sent
	Prefix  string        // of every channel name on Redis

	// Send gives messages their outcomes, where a message is more than one PUBLISH. Nil
	// is for those that are not.
	Send func(context.Context, []*Message)

	// Demoted is called where the server has answered that it is a replica, before
	// anything else is sent.
	Demoted func()
}

// A Pipeline publishes. It has one pipeline of messages under way at a time, so that what
// comes meanwhile goes together in the next. A lone publication is sent at once, on its
// caller's goroutine. One pipeline at a time is also what keeps the order of each
// publisher.
type Pipeline struct {
	opts   Options
	places chan struct{} // as many as there are requests waiting

	mu      sync.Mutex
	busy    bool // a pipeline is under way
	closed  bool
	waiting []*request
	running sync.WaitGroup
}

// New returns a Pipeline. Its caller closes it, after the Transmitter's context.
func New(o Options) *Pipeline {
	return &Pipeline{opts: o, places: make(chan struct{}, maxWaiting)}
}

// do sends r. It returns nil when every message has its outcome, and
// otherwise the outcome of all.
func (p *Pipeline) do(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return reply.Outcome(err, false)
	}
	r.ctx, r.done = ctx, make(chan struct{})
	if !p.begin() {
		return p.wait(ctx, r)
	}
	p.send(ctx, []*request{r})
	p.end()
	return nil
}

// begin reports whether no pipeline is under way. The caller's is, from now on.
func (p *Pipeline) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	free := !p.busy
	p.busy = true
	return free
}

// end is the end of what begin began.
func (p *Pipeline) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy = false
	p.start()
}

// start has a goroutine send what is waiting, for a caller that holds mu.
func (p *Pipeline) start() {
	if !p.busy && !p.closed && len(p.waiting) > 0 {
		p.busy = true
		p.running.Go(p.run)
	}
}

// wait has r sent by another goroutine.
func (p *Pipeline) wait(ctx context.Context, r *request) error {
	late := time.NewTimer(p.opts.Timeout)
	defer late.Stop()
	select {
	case p.places <- struct{}{}:
		defer func() { <-p.places }()
	case <-ctx.Done():
		return reply.Outcome(ctx.Err(), false)
	case <-late.C:
		return fmt.Errorf("%w: %w", errBusy, broker.ErrUnavailable)
	case <-p.opts.closing.Done():
		return broker.ErrClosed
	}
	p.enqueue(r)
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return p.giveUp(r, ctx.Err())
	case <-late.C:
		if p.withdraw(r) {
			return fmt.Errorf("%w: %w", errBusy, broker.ErrUnavailable)
		}
	case <-p.opts.closing.Done():
		if p.withdraw(r) {
			return broker.ErrClosed
		}
	}
	select { // it is being sent
	case <-r.done:
		return nil
	case <-ctx.Done():
		return p.giveUp(r, ctx.Err())
	}
}

func (p *Pipeline) enqueue(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = append(p.waiting, r)
	p.start()
}

// giveUp is the outcome of r for a caller whose context ended with err.
func (p *Pipeline) giveUp(r *request, err error) error {
	select {
	case <-r.done:
		return nil
	default:
		return reply.Outcome(err, !p.withdraw(r))
	}
}

// withdraw reports whether r had not been sent. Then it will not be.
func (p *Pipeline) withdraw(r *request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.waiting, r); i >= 0 {
		p.waiting = slices.Delete(p.waiting, i, i+1)
	}
	return r.withdraw()
}

// run sends until nothing is waiting.
func (p *Pipeline) run() {
	for requests := p.take(); len(requests) > 0; requests = p.take() {
		ctx, cancel := lasting(requests)
		p.send(ctx, requests)
		cancel()
		runtime.Gosched() // callers that have their answer may have more to publish
	}
}

// take returns the requests of the next pipeline. Where there are none, the caller's
// turn is over.
func (p *Pipeline) take() []*request {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, messages, bytes := 0, 0, 0
	for _, r := range p.waiting {
		messages, bytes = messages+len(r.messages), bytes+r.bytes
		if n > 0 && (messages > pipelineMessages || bytes > pipelineBytes) {
			break
		}
		n++
	}
	requests := slices.Clone(p.waiting[:n])
	p.waiting = slices.Delete(p.waiting, 0, n)
	p.busy = n > 0
	return requests
}

// Close ends the waiting, and returns when nothing of the Pipeline runs any more. The
// Transmitter's context must have ended and its client must be closed, so that what is
// under way returns.
func (p *Pipeline) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.running.Wait()
}
