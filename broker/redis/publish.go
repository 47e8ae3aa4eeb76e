package redis

import (
	"context"
	"errors"
	"fmt"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
)

var errNotTried = errors.New("not tried, an earlier message failed")

// Publish implements broker.Broker. It returns as soon as a deadline of ctx has
// passed. A cancellation is noticed while it waits for others or for a
// connection.
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	result := b.PublishBatch(ctx, []broker.Message{m})[0]
	return result.Receipt, result.Err
}

// PublishBatch implements [broker.BatchPublisher] with pipelines of a few hundred
// messages. Where one comes to grief those behind it are not tried.
func (b *Broker) PublishBatch(ctx context.Context, messages []broker.Message) []broker.Result {
	results := make([]broker.Result, 0, len(messages))
	for grief := false; len(results) < len(messages); {
		if grief {
			results = append(results, result(b.unsent(fmt.Errorf("%w: %w", errNotTried, broker.ErrUnavailable))))
			continue
		}
		j := b.newJob(messages[len(results):])
		err := b.batcher.do(ctx, j)
		for _, p := range j.publications {
			if err == nil {
				results = append(results, result(p.err))
				grief = grief || p.err != nil && !ownFault(p.err)
			} else {
				results = append(results, result(err))
				grief = true
			}
		}
	}
	return results
}

func result(err error) broker.Result {
	if err != nil {
		err = fmt.Errorf("redis: publish: %w", err)
	}
	return broker.Result{Err: err}
}

// ownFault reports whether a message failed for a reason that need not concern
// others.
func ownFault(err error) bool { return errors.Is(err, broker.ErrDenied) || errors.Is(err, errNoName) }

// newJob makes a job of the first messages, as many as go into one pipeline.
func (b *Broker) newJob(messages []broker.Message) *job {
	j := &job{}
	for _, m := range messages[:min(len(messages), pipelineMessages)] {
		if j.bytes += len(m.Data); len(j.publications) > 0 && j.bytes > pipelineBytes {
			j.bytes -= len(m.Data)
			break
		}
		p := &publication{job: j}
		if m.Channel == "" {
			p.err = errNoName
		} else {
			p.IntCmd = goredis.NewIntCmd(context.Background(), "publish", b.opts.Prefix+m.Channel, broker.AppendWire(nil, m))
		}
		j.publications = append(j.publications, p)
	}
	return j
}

// A publication is one PUBLISH, and then its outcome.
type publication struct {
	*goredis.IntCmd
	job      *job
	sent     bool // it may have been written
	answered bool // go-redis has said something of it
	err      error
}

// voided is written in place of a publication that has been given up. Redis
// refuses it for want of arguments.
var voided = []any{"publish"}

// Args returns the words of the command. go-redis asks for them once, when it has
// a connection and writes them to it: the last moment to give up.
func (p *publication) Args() []any {
	if p.sent || !p.job.commit() {
		return voided
	}
	p.sent = true
	return p.IntCmd.Args()
}

// SetErr is what go-redis calls with the answer, nil for one that accepts, or with
// the failure of the pipeline. The first call counts: after a failure there is
// another, also for what had been answered before.
func (p *publication) SetErr(err error) {
	if !p.answered {
		p.answered = true
		p.IntCmd.SetErr(err)
	}
}

// send gives the publications of jobs their outcomes, by one pipeline. What Redis
// says of one of them is that one's only.
func (b *Broker) send(ctx context.Context, jobs []*job) {
	pipe := b.client.Pipeline()
	for _, j := range jobs {
		for _, p := range j.publications {
			if p.err == nil {
				_ = pipe.Process(ctx, p)
			}
		}
	}
	err := b.exec(ctx, pipe)
	for _, j := range jobs {
		for _, p := range j.publications {
			if p.err == nil {
				p.err = b.outcomeOf(p, err)
			}
		}
		close(j.done)
	}
}

// exec sends pipe and returns why answers are missing.
func (b *Broker) exec(ctx context.Context, pipe goredis.Pipeliner) (err error) {
	defer contain(&err)
	if b.closed() {
		return broker.ErrClosed
	}
	_, err = pipe.Exec(ctx)
	return err
}

// contain turns a panic of go-redis, which trusts the types of replies, into an
// error.
func contain(err *error) {
	if recover() != nil {
		*err = errBadReply
	}
}

// outcomeOf returns the outcome of p after a pipeline that ended with err.
func (b *Broker) outcomeOf(p *publication, err error) error {
	if p.answered {
		err = p.Err()
	} else if err == nil {
		err = errBadReply
	}
	switch {
	case err == nil:
		return nil
	case !p.sent:
		return b.unsent(outcome(err, false))
	default:
		return outcome(err, true)
	}
}

// unsent is the outcome of what was not sent because of err.
func (b *Broker) unsent(err error) error {
	if b.closed() {
		return broker.ErrClosed
	}
	return err
}
