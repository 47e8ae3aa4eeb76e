package pipeline

import (
	"context"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/reply"
)

// A request is the messages of one caller, which go into one pipeline.
type request struct {
	ctx      context.Context
	messages []*Message
	bytes    int
	state    atomic.Int32
	done     chan struct{} // closed when each message has its outcome
}

// States of a request: it is sent, or its caller gave it up before.
const (
	pending int32 = iota
	sent
	abandoned
)

// commit reports whether r is to be sent.
func (r *request) commit() bool {
	return r.state.CompareAndSwap(pending, sent) || r.state.Load() == sent
}

// withdraw reports whether r had not been sent. Then it will not be.
func (r *request) withdraw() bool { return r.state.CompareAndSwap(pending, abandoned) }

// newRequest makes a request of the first messages, as many as go into one pipeline.
func (p *Pipeline) newRequest(messages []broker.Message) *request {
	r := &request{}
	for _, m := range messages[:min(len(messages), pipelineMessages)] {
		if r.bytes += len(m.Data); len(r.messages) > 0 && r.bytes > pipelineBytes {
			r.bytes -= len(m.Data)
			break
		}
		r.messages = append(r.messages, p.newMessage(r, m))
	}
	return r
}

func (p *Pipeline) newMessage(r *request, content broker.Message) *Message {
	content.Position = broker.Position{}
	m := &Message{request: r, Message: content}
	switch {
	case m.Channel == "":
		m.Err = reply.ErrNoName
	case len(m.Key) > broker.MaxKey:
		m.Err = broker.ErrKey
	case p.opts.Send == nil:
		ctx := context.Background()
		m.Main = &Command{Cmder: goredis.NewIntCmd(ctx, "publish", p.opts.Prefix+m.Channel, broker.AppendWire(nil, content)), request: r}
	}
	return m
}

// lasting returns a context that ends with the last of the requests' deadlines: later
// no caller waits for an answer.
func lasting(requests []*request) (context.Context, context.CancelFunc) {
	var last time.Time
	for _, r := range requests {
		deadline, ok := r.ctx.Deadline()
		if !ok {
			return context.WithCancel(context.Background())
		}
		if deadline.After(last) {
			last = deadline
		}
	}
	return context.WithDeadline(context.Background(), last)
}
