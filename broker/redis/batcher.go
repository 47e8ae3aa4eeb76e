package redis

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// Bounds of what is sent in one pipeline, beyond one job, and of the jobs that
// wait to be taken into one. Who finds no place waits for it.
const (
	pipelineMessages = 512
	pipelineBytes    = 1 << 20
	maxWaiting       = 4096
)

var errBusy = errors.New("too many publications are waiting")

// A batcher has one pipeline of publications under way at a time, so that what
// comes meanwhile goes together in the next. Nobody waits for company: who finds
// nothing under way sends at once, on its own goroutine. One pipeline at a time is
// also what keeps the order of each publisher.
type batcher struct {
	send    func(ctx context.Context, jobs []*job) // gives each job its outcome
	timeout time.Duration                          // of waiting to be sent
	closing <-chan struct{}
	places  chan struct{} // as many as there are jobs waiting

	mu      sync.Mutex
	busy    bool // a pipeline is under way
	closed  bool
	waiting []*job
	running sync.WaitGroup
}

func newBatcher(timeout time.Duration, closing <-chan struct{}, send func(context.Context, []*job)) *batcher {
	return &batcher{send: send, timeout: timeout, closing: closing, places: make(chan struct{}, maxWaiting)}
}

// A job is the publications of one caller, which go into one pipeline.
type job struct {
	ctx          context.Context
	publications []*publication
	bytes        int
	state        atomic.Int32
	done         chan struct{} // closed when each publication has its outcome
}

// States of a job: it is sent, or its caller gave it up before.
const (
	pending int32 = iota
	sent
	abandoned
)

// commit reports whether j is to be sent.
func (j *job) commit() bool { return j.state.CompareAndSwap(pending, sent) || j.state.Load() == sent }

// do sends j. It returns nil when every publication has its outcome, and
// otherwise the outcome of all.
func (q *batcher) do(ctx context.Context, j *job) error {
	if err := ctx.Err(); err != nil {
		return reply.Outcome(err, false)
	}
	j.ctx, j.done = ctx, make(chan struct{})
	if !q.begin() {
		return q.wait(ctx, j)
	}
	q.send(ctx, []*job{j})
	q.end()
	return nil
}

// begin reports whether no pipeline is under way. The caller's is, from now on.
func (q *batcher) begin() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	free := !q.busy
	q.busy = true
	return free
}

// end is the end of what begin began.
func (q *batcher) end() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy = false
	q.start()
}

// start has somebody send what is waiting, for a caller that holds mu.
func (q *batcher) start() {
	if !q.busy && !q.closed && len(q.waiting) > 0 {
		q.busy = true
		q.running.Go(q.run)
	}
}

// wait has j sent by another goroutine.
func (q *batcher) wait(ctx context.Context, j *job) error {
	late := time.NewTimer(q.timeout)
	defer late.Stop()
	select {
	case q.places <- struct{}{}:
		defer func() { <-q.places }()
	case <-ctx.Done():
		return reply.Outcome(ctx.Err(), false)
	case <-late.C:
		return fmt.Errorf("%w: %w", errBusy, broker.ErrUnavailable)
	case <-q.closing:
		return broker.ErrClosed
	}
	q.enqueue(j)
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return q.giveUp(j, ctx.Err())
	case <-late.C:
		if q.withdraw(j) {
			return fmt.Errorf("%w: %w", errBusy, broker.ErrUnavailable)
		}
	case <-q.closing:
		if q.withdraw(j) {
			return broker.ErrClosed
		}
	}
	select { // it is being sent
	case <-j.done:
		return nil
	case <-ctx.Done():
		return q.giveUp(j, ctx.Err())
	}
}

func (q *batcher) enqueue(j *job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, j)
	q.start()
}

// giveUp is the outcome of j for a caller whose context ended with err.
func (q *batcher) giveUp(j *job, err error) error {
	if isClosed(j.done) {
		return nil
	}
	return reply.Outcome(err, !q.withdraw(j))
}

// withdraw reports whether j had not been sent. Then it will not be.
func (q *batcher) withdraw(j *job) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.waiting, j); i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return j.state.CompareAndSwap(pending, abandoned)
}

// run sends until nothing is waiting.
func (q *batcher) run() {
	for jobs := q.take(); len(jobs) > 0; jobs = q.take() {
		ctx, cancel := lasting(jobs)
		q.send(ctx, jobs)
		cancel()
		runtime.Gosched() // those who have their answer may have more to say
	}
}

// take returns the jobs of the next pipeline. Where there are none, the caller's
// turn is over.
func (q *batcher) take() []*job {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, messages, bytes := 0, 0, 0
	for _, j := range q.waiting {
		messages, bytes = messages+len(j.publications), bytes+j.bytes
		if n > 0 && (messages > pipelineMessages || bytes > pipelineBytes) {
			break
		}
		n++
	}
	jobs := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	q.busy = n > 0
	return jobs
}

// lasting returns a context that ends with the last of the jobs' deadlines: later
// nobody waits for an answer.
func lasting(jobs []*job) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, j := range jobs {
		deadline, ok := j.ctx.Deadline()
		if !ok {
			return context.WithCancel(context.Background())
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}

// close ends the waiting, and returns when nothing runs any more. closing must
// have been closed, and what send uses too, so that it returns.
func (q *batcher) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.running.Wait()
}
