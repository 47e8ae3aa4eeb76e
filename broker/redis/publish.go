package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
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
			results = append(results, failed(b.unsent(fmt.Errorf("%w: %w", errNotTried, broker.ErrUnavailable))))
			continue
		}
		j := b.newJob(messages[len(results):])
		err := b.batcher.do(ctx, j)
		for _, p := range j.publications {
			if err == nil {
				results = append(results, p.result())
				grief = grief || p.err != nil && !ownFault(p.err)
			} else {
				results = append(results, failed(err))
				grief = true
			}
		}
	}
	return results
}

func failed(err error) broker.Result {
	return broker.Result{Err: fmt.Errorf("redis: publish: %w", err)}
}

// ownFault reports whether a message failed for a reason that need not concern
// others.
func ownFault(err error) bool {
	return errors.Is(err, broker.ErrDenied) || errors.Is(err, broker.ErrTooLarge) || errors.Is(err, broker.ErrKey) || errors.Is(err, reply.ErrNoName)
}

// newJob makes a job of the first messages, as many as go into one pipeline.
func (b *Broker) newJob(messages []broker.Message) *job {
	j := &job{}
	for _, m := range messages[:min(len(messages), pipelineMessages)] {
		if j.bytes += len(m.Data); len(j.publications) > 0 && j.bytes > pipelineBytes {
			j.bytes -= len(m.Data)
			break
		}
		j.publications = append(j.publications, b.newPublication(j, m))
	}
	return j
}

func (b *Broker) newPublication(j *job, m broker.Message) *publication {
	m.Position = broker.Position{}
	p := &publication{job: j, message: m}
	switch {
	case m.Channel == "":
		p.err = reply.ErrNoName
	case len(m.Key) > broker.MaxKey:
		p.err = broker.ErrKey
	case b.keeper == nil:
		ctx := context.Background()
		p.main = &call{Cmder: goredis.NewIntCmd(ctx, "publish", b.opts.Prefix+m.Channel, broker.AppendWire(nil, m)), job: j}
	}
	return p
}

// send gives the publications of jobs their outcomes. What Redis says of one of
// them is that one's only.
func (b *Broker) send(ctx context.Context, jobs []*job) {
	var publications []*publication
	for _, j := range jobs {
		for _, p := range j.publications {
			if p.err == nil {
				publications = append(publications, p)
			}
		}
	}
	switch {
	case b.closed():
		fail(publications, broker.ErrClosed)
	case b.keeper != nil:
		b.keeper.send(ctx, publications)
	default:
		b.transmit(ctx, publications)
	}
	if b.sentinels != nil && slices.ContainsFunc(publications, (*publication).atReplica) {
		b.sentinels.demoted() // before anybody publishes on such a connection again
	}
	for _, j := range jobs {
		close(j.done)
	}
}

// transmit gives publications their outcomes, by one pipeline.
func (b *Broker) transmit(ctx context.Context, publications []*publication) {
	pipe := b.client.Pipeline()
	for _, p := range publications {
		for _, c := range p.before {
			_ = pipe.Process(ctx, c)
		}
		_ = pipe.Process(ctx, p.main)
		if p.expire != nil {
			_ = pipe.Process(ctx, p.expire)
		}
	}
	err := b.exec(ctx, pipe)
	for _, p := range publications {
		p.err = b.outcomeOf(p.main, err)
	}
}

// exec sends pipe and returns why answers are missing.
func (b *Broker) exec(ctx context.Context, pipe goredis.Pipeliner) (err error) {
	defer reply.Contain(&err)
	if b.closed() {
		return broker.ErrClosed
	}
	_, err = pipe.Exec(ctx)
	return err
}

// outcomeOf returns the outcome of c after a pipeline that ended with err.
func (b *Broker) outcomeOf(c *call, err error) error {
	if c.answered {
		err = c.Err()
	} else if err == nil {
		err = reply.ErrBadReply
	}
	switch {
	case err == nil:
		return nil
	case !c.sent:
		return b.unsent(reply.Outcome(err, false))
	default:
		return reply.Outcome(err, true)
	}
}

// unsent is the outcome of what was not sent because of err.
func (b *Broker) unsent(err error) error {
	if b.closed() {
		return broker.ErrClosed
	}
	return err
}
