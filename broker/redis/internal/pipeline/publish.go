package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

var errNotTried = errors.New("not tried, an earlier message failed")

// Publish publishes messages in their order, in pipelines of a few hundred, and appends
// their results. aborted says that one failed for a reason that concerns others: those
// behind it are not tried, and nothing behind messages should be.
//
// It returns as soon as a deadline of ctx has passed. A cancellation is noticed while it
// waits for others or for a connection.
func (p *Pipeline) Publish(ctx context.Context, results []broker.Result, messages []broker.Message) (_ []broker.Result, aborted bool) {
	for len(messages) > 0 {
		if aborted {
			return p.NotTried(results, messages), true
		}
		r := p.newRequest(messages)
		messages = messages[len(r.messages):]
		err := p.do(ctx, r)
		for _, m := range r.messages {
			if err == nil {
				results = append(results, m.result())
				aborted = aborted || m.Err != nil && !ownFault(m.Err)
			} else {
				results = append(results, failed(err))
				aborted = true
			}
		}
	}
	return results, aborted
}

// Probe is Publish for one message of which nothing is to be kept.
func (p *Pipeline) Probe(ctx context.Context, content broker.Message) (broker.Receipt, error) {
	content.Key = ""
	r := &request{bytes: len(content.Data)}
	m := p.newMessage(r, content)
	m.Probe = true
	r.messages = []*Message{m}
	result := m.result
	if err := p.do(ctx, r); err != nil {
		result = func() broker.Result { return failed(err) }
	}
	return result().Receipt, result().Err
}

// NotTried appends the results of messages that come behind what was aborted.
func (p *Pipeline) NotTried(results []broker.Result, messages []broker.Message) []broker.Result {
	for range messages {
		results = append(results, failed(p.opts.Unsent(fmt.Errorf("%w: %w", errNotTried, broker.ErrUnavailable))))
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

// send gives the messages of requests their outcomes. What Redis says of one of
// them is that one's only.
func (p *Pipeline) send(ctx context.Context, requests []*request) {
	var messages []*Message
	for _, r := range requests {
		for _, m := range r.messages {
			if m.Err == nil {
				messages = append(messages, m)
			}
		}
	}
	switch {
	case p.opts.closed():
		Fail(messages, broker.ErrClosed)
	case p.opts.Send != nil:
		p.opts.Send(ctx, messages)
	default:
		p.opts.Transmit(ctx, messages)
	}
	if slices.ContainsFunc(messages, (*Message).AtReplica) {
		p.opts.Demoted() // before anybody publishes on such a connection again
	}
	for _, r := range requests {
		close(r.done)
	}
}
