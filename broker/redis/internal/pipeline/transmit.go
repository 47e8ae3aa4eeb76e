package pipeline

import (
	"context"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A Transmitter writes messages to a server and takes its answers. It repeats nothing, and
// belongs to the Pipeline that it is given to, and to what sends for it.
type Transmitter struct {
	client  *goredis.Client
	closing context.Context
}

// NewTransmitter returns one that sends by client until closing ends. It closes neither.
func NewTransmitter(client *goredis.Client, closing context.Context) *Transmitter {
	return &Transmitter{client: client, closing: closing}
}

func (t *Transmitter) closed() bool { return t.closing.Err() != nil }

// Transmit gives messages their outcomes, by one pipeline.
func (t *Transmitter) Transmit(ctx context.Context, messages []*Message) {
	pipe := t.client.Pipeline()
	for _, m := range messages {
		for _, c := range m.Before {
			_ = pipe.Process(ctx, c)
		}
		_ = pipe.Process(ctx, m.Main)
		if m.Expire != nil {
			_ = pipe.Process(ctx, m.Expire)
		}
	}
	err := t.exec(ctx, pipe)
	for _, m := range messages {
		m.Err = t.outcomeOf(m.Main, err)
	}
}

// exec sends pipe and returns why answers are missing.
func (t *Transmitter) exec(ctx context.Context, pipe goredis.Pipeliner) (err error) {
	defer reply.Contain(&err)
	if t.closed() {
		return broker.ErrClosed
	}
	_, err = pipe.Exec(ctx)
	return err
}

// outcomeOf returns the outcome of c after a pipeline that ended with err.
func (t *Transmitter) outcomeOf(c *Command, err error) error {
	if c.answered {
		err = c.Err()
	} else if err == nil {
		err = reply.ErrBadReply
	}
	switch {
	case err == nil:
		return nil
	case !c.sent:
		return t.Unsent(reply.Outcome(err, false))
	default:
		return reply.Outcome(err, true)
	}
}

// Unsent is the outcome of what was not sent because of err.
func (t *Transmitter) Unsent(err error) error {
	if t.closed() {
		return broker.ErrClosed
	}
	return err
}
