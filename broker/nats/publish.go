package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// Bounds of what shares one answer of the server.
const (
	maxTogether = 4096    // messages
	maxBytes    = 4 << 20 // of their data
	maxWaiting  = 4096    // calls
)

// A publisher publishes by one connection, which one goroutine makes, uses and makes anew.
type publisher struct {
	opts    Options
	closing context.Context
	calls   chan *call
	done    chan struct{}
	conn    *conn // nil until it is needed, and once it was lost
}

// A call is one call of PublishBatch.
type call struct {
	messages []broker.Message
	state    atomic.Int32 // whose it is
	answered chan []error // has room for the answer
}

// Whose a call is.
const (
	waiting   int32 = iota
	taken           // the publisher's: it answers
	abandoned       // nobody's: the caller has gone, and nothing was sent
)

func newPublisher(closing context.Context, o Options) *publisher {
	p := &publisher{opts: o, closing: closing, calls: make(chan *call, maxWaiting), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *publisher) wait() { <-p.done }

// publish publishes messages, and returns one error each.
func (p *publisher) publish(ctx context.Context, messages []broker.Message) []error {
	c := &call{messages: messages, answered: make(chan []error, 1)}
	switch {
	case p.closing.Err() != nil:
		return all(messages, broker.ErrClosed)
	case ctx.Err() != nil:
		return all(messages, unsent(ctx))
	}
	select {
	case p.calls <- c:
	case <-ctx.Done():
		return all(messages, unsent(ctx))
	case <-p.done:
		return all(messages, broker.ErrClosed)
	}
	select {
	case errs := <-c.answered:
		return errs
	case <-ctx.Done():
		if c.state.CompareAndSwap(waiting, abandoned) {
			return all(messages, unsent(ctx))
		}
		return all(messages, fmt.Errorf("%w: %w", ctx.Err(), broker.ErrUncertain))
	case <-p.done:
		select {
		case errs := <-c.answered:
			return errs
		default:
			return all(messages, broker.ErrClosed)
		}
	}
}

// unsent is what is said of what was not sent before ctx ended.
func unsent(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ctx.Err(), broker.ErrUnavailable)
}

func all(messages []broker.Message, err error) []error {
	errs := make([]error, len(messages))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// run publishes until closing ends. It answers every call that it has taken.
func (p *publisher) run() {
	defer close(p.done)
	defer p.drop()
	for {
		select {
		case <-p.closing.Done():
			return
		case c := <-p.calls:
			p.together(p.take(c))
		}
	}
}

// take returns a call and those that wait behind it, as far as they fit into one answer.
func (p *publisher) take(c *call) (calls []*call) {
	for messages, size := 0, 0; ; {
		if c.state.CompareAndSwap(waiting, taken) {
			calls = append(calls, c)
			messages += len(c.messages)
			for _, m := range c.messages {
				size += len(m.Data)
			}
		}
		if messages >= maxTogether || size >= maxBytes {
			return calls
		}
		select {
		case c = <-p.calls:
		default:
			return calls
		}
	}
}

// together publishes the messages of calls and answers them.
func (p *publisher) together(calls []*call) {
	if len(calls) == 0 {
		return
	}
	err := p.connect()
	sent := map[string]struct{}{}
	errs := make([][]error, len(calls))
	for i, c := range calls {
		if err != nil {
			c.answered <- all(c.messages, err)
			continue
		}
		errs[i] = p.send(c.messages, sent)
	}
	if err != nil {
		return
	}
	refused, err := p.confirm(sent)
	for i, c := range calls {
		p.judge(c.messages, errs[i], refused, err)
		c.answered <- errs[i]
	}
}

// connect makes the connection where there is none. Its error means that nothing was sent.
func (p *publisher) connect() error {
	if p.conn != nil && !p.conn.isLost() {
		return nil
	}
	p.drop()
	c, err := dial(p.closing, p.opts, nil)
	if err != nil && p.closing.Err() != nil {
		return broker.ErrClosed
	}
	p.conn = c
	return err
}

func (p *publisher) drop() {
	if p.conn != nil {
		p.conn.Close()
		<-p.conn.lost
		p.conn = nil
	}
}

// send hands messages to the connection, and returns what was not. sent gets the subjects of the rest.
func (p *publisher) send(messages []broker.Message, sent map[string]struct{}) []error {
	errs := make([]error, len(messages))
	for i, m := range messages {
		if m.Channel == "" {
			errs[i] = errNoName
			continue
		}
		subject := subjectOf(p.opts.Prefix, m.Channel)
		m.Position = broker.Position{}
		switch err := p.conn.Publish(subject, broker.AppendWire(nil, m)); {
		case errors.Is(err, natsgo.ErrMaxPayload):
			errs[i] = fmt.Errorf("%w: the server takes %d bytes", broker.ErrTooLarge, p.conn.MaxPayload())
		case err == nil:
			sent[subject] = struct{}{}
		}
	}
	return errs
}

var errNoName = fmt.Errorf("a channel without a name: %w", broker.ErrDenied)

// confirm waits for the server. Where it does not answer the connection is of no use any more.
func (p *publisher) confirm(sent map[string]struct{}) (map[string]error, error) {
	ctx, cancel := context.WithTimeout(p.closing, p.opts.Timeout)
	defer cancel()
	refused, err := p.conn.confirm(ctx, maps.Keys(sent))
	if err != nil {
		p.drop()
		err = fmt.Errorf("wait for the server: %w: %w", err, broker.ErrUncertain)
	}
	return refused, err
}

// judge adds to errs what became of the messages that were sent.
func (p *publisher) judge(messages []broker.Message, errs []error, refused map[string]error, err error) {
	for i, m := range messages {
		if errs[i] != nil {
			continue
		}
		if errs[i] = err; err == nil && len(refused) > 0 {
			errs[i] = refused[subjectOf(p.opts.Prefix, m.Channel)]
		}
	}
}
