package nats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// Bounds of what shares one answer of the server.
const (
	maxTogether = 4096    // messages
	maxStored   = 1024    // messages that go to a stream, which lets no more than 10,000 of all nodes wait
	maxBytes    = 4 << 20 // of their data
	maxWaiting  = 4096    // calls
)

// A publisher publishes by one connection, which one goroutine makes, uses and makes anew.
type publisher struct {
	opts    Options
	seen    *memory
	closing context.Context
	calls   chan *call
	done    chan struct{}
	session *session // nil until it is needed, and once it was lost
}

// A call is one call of PublishBatch, or of Probe.
type call struct {
	messages []broker.Message
	probe    bool
	state    atomic.Int32         // whose it is
	answered chan []broker.Result // has room for the answer
}

// Whose a call is.
const (
	waiting   int32 = iota
	taken           // the publisher's: it answers
	abandoned       // nobody's: the caller has gone, and nothing was sent
)

func newPublisher(closing context.Context, o Options, seen *memory) *publisher {
	p := &publisher{opts: o, seen: seen, closing: closing, calls: make(chan *call, maxWaiting), done: make(chan struct{})}
	go p.run()
	return p
}

func (p *publisher) wait() { <-p.done }

// publish does what c asks for, and returns one result for each of its messages.
func (p *publisher) publish(ctx context.Context, c *call) []broker.Result {
	c.answered = make(chan []broker.Result, 1)
	switch {
	case p.closing.Err() != nil:
		return all(c.messages, broker.ErrClosed)
	case ctx.Err() != nil:
		return all(c.messages, unsent(ctx))
	}
	select {
	case p.calls <- c:
	case <-ctx.Done():
		return all(c.messages, unsent(ctx))
	case <-p.done:
		return all(c.messages, broker.ErrClosed)
	}
	select {
	case results := <-c.answered:
		return results
	case <-ctx.Done():
		if c.state.CompareAndSwap(waiting, abandoned) {
			return all(c.messages, unsent(ctx))
		}
		return all(c.messages, fmt.Errorf("%w: %w", ctx.Err(), broker.ErrUncertain))
	case <-p.done:
		select {
		case results := <-c.answered:
			return results
		default:
			return all(c.messages, broker.ErrClosed)
		}
	}
}

// unsent is what is said of what was not sent before ctx ended.
func unsent(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ctx.Err(), broker.ErrUnavailable)
}

func all(messages []broker.Message, err error) []broker.Result {
	return slices.Repeat([]broker.Result{{Err: err}}, len(messages))
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
	most := maxTogether
	if !p.opts.History.IsZero() {
		most = maxStored
	}
	for messages, size := 0, 0; ; {
		if c.state.CompareAndSwap(waiting, taken) {
			calls = append(calls, c)
			messages += len(c.messages)
			for _, m := range c.messages {
				size += len(m.Data)
			}
		}
		if messages >= most || size >= maxBytes {
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
	switch {
	case err != nil:
		for _, c := range calls {
			c.answered <- all(c.messages, err)
		}
	case p.opts.History.IsZero():
		p.tell(calls)
	default:
		p.keep(calls)
	}
}

// connect makes the connection where there is none. Its error means that nothing was sent.
func (p *publisher) connect() error {
	if p.session != nil && !p.session.isLost() {
		return nil
	}
	p.drop()
	s, err := openSession(p.closing, p.opts, p.seen)
	if err != nil && p.closing.Err() != nil {
		return broker.ErrClosed
	}
	p.session = s
	return err
}

func (p *publisher) drop() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

// tell publishes the messages of calls to those who listen.
func (p *publisher) tell(calls []*call) {
	sent := map[string]struct{}{}
	results := make([][]broker.Result, len(calls))
	for i, c := range calls {
		results[i] = p.send(c.messages, sent)
	}
	refused, err := p.confirm(sent)
	for i, c := range calls {
		p.judge(c.messages, results[i], refused, err)
		c.answered <- results[i]
	}
}

// send hands messages to the connection. What was not sent has an error. sent gets the subjects of the rest.
func (p *publisher) send(messages []broker.Message, sent map[string]struct{}) []broker.Result {
	results := make([]broker.Result, len(messages))
	for i, m := range messages {
		if m.Channel == "" {
			results[i].Err = errNoName
			continue
		}
		subject := p.opts.names.subject(m.Channel)
		m.Position = broker.Position{}
		switch err := p.session.Publish(subject, broker.AppendWire(nil, m)); {
		case errors.Is(err, natsgo.ErrMaxPayload):
			results[i].Err = fmt.Errorf("%w: the server takes %d bytes", broker.ErrTooLarge, p.session.MaxPayload())
		case errors.Is(err, natsgo.ErrBadSubject):
			results[i].Err = fmt.Errorf("the subject of the channel: %w: %w", err, broker.ErrDenied)
		case err != nil: // the server's answer says nothing of it
			results[i].Err = fmt.Errorf("send: %w: %w", err, broker.ErrUncertain)
		default:
			sent[subject] = struct{}{}
		}
	}
	return results
}

var errNoName = fmt.Errorf("a channel without a name: %w", broker.ErrDenied)

// confirm waits for the server. Where it does not answer the connection is of no use any more.
func (p *publisher) confirm(sent map[string]struct{}) (map[string]error, error) {
	ctx, cancel := context.WithTimeout(p.closing, p.opts.Timeout)
	defer cancel()
	refused, err := p.session.confirm(ctx, maps.Keys(sent))
	if err != nil {
		p.drop()
		err = fmt.Errorf("wait for the server: %w: %w", err, broker.ErrUncertain)
	}
	return refused, err
}

// judge adds to results what became of the messages that were sent.
func (p *publisher) judge(messages []broker.Message, results []broker.Result, refused map[string]error, err error) {
	for i, m := range messages {
		if results[i].Err != nil {
			continue
		}
		if results[i].Err = err; err == nil && len(refused) > 0 {
			results[i].Err = refused[p.opts.names.subject(m.Channel)]
		}
	}
}

// keep publishes the messages of calls to the stream.
func (p *publisher) keep(calls []*call) {
	var requests []request
	var at []*broker.Result
	results := make([][]broker.Result, len(calls))
	for i, c := range calls {
		results[i] = make([]broker.Result, len(c.messages))
		for j, m := range c.messages {
			switch {
			case m.Channel == "":
				results[i][j].Err = errNoName
				continue
			case len(m.Key) > broker.MaxKey && !c.probe:
				results[i][j].Err = fmt.Errorf("longer than %d bytes: %w", broker.MaxKey, broker.ErrKey)
				continue
			case c.probe:
				requests = append(requests, p.opts.probeRequest(m))
			default:
				requests = append(requests, p.opts.keepRequest(m))
			}
			at = append(at, &results[i][j])
		}
	}
	p.store(requests, at)
	for i, c := range calls {
		c.answered <- results[i]
	}
}

// store sends requests, as many at a time as the stream takes, and puts what became of each at its place.
func (p *publisher) store(requests []request, at []*broker.Result) {
	for len(requests) > 0 {
		n := min(len(requests), maxStored)
		if err := p.connect(); err != nil {
			for _, r := range at {
				r.Err = err
			}
			return
		}
		ctx, cancel := context.WithTimeout(p.closing, p.opts.Timeout)
		results, err := p.session.store(ctx, requests[:n])
		cancel()
		for i, r := range results {
			*at[i] = r
		}
		if err != nil {
			p.drop()
		}
		requests, at = requests[n:], at[n:]
	}
}
