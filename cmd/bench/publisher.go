package bench

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// publishTime bounds the answer to one publication.
	publishTime = 30 * time.Second
	// lastAnswerTime bounds it once the run was told to stop.
	lastAnswerTime = 2 * time.Second
)

// A publisher publishes messages to its channels in turn, over one connection.
type publisher struct {
	number   int
	target   target
	epoch    time.Time
	outlets  []*outlet
	way      way
	accepted *atomic.Int64 // messages of all publishers
	expected *atomic.Int64 // deliveries that follow from them
	latency  *hdrhistogram.Histogram
	refused  int64
	problem  error // the first
}

// A way is how a publisher publishes. Its methods are for one goroutine, and what
// comes of publications it tells the publisher.
type way interface {
	// outlet returns an outlet to a channel for messages of size bytes.
	outlet(c *channel, size int) *outlet
	// open connects, unless that is done.
	open(ctx context.Context) error
	// ready returns when another message may be sent, or false where the publisher
	// has to stop.
	ready(ctx context.Context) bool
	// publish sends a message that was to be sent at intended. It reports false
	// where the publisher has to stop.
	publish(ctx context.Context, o *outlet, intended time.Duration) bool
	// settle returns when it is known what came of all that was sent.
	settle(ctx context.Context)
	// hangUp ends the connection. It may be called again.
	hangUp()
}

// newWay returns how p publishes as o says.
func newWay(p *publisher, o *Options) way {
	if o.PublishOver == "live" {
		return newPipeline(p, o)
	}
	return &poster{publisher: p}
}

// An outlet is one channel of a publisher.
type outlet struct {
	channel *channel
	sent    int64   // messages that have a number, and so the next one
	failed  []int64 // those of them that were not accepted, as far as is known
	request []byte  // what is sent to publish
	body    []byte  // the part of it that is the message
	ref     []byte  // the part of it that the answer has, too; nil over HTTP
}

// run publishes what falls to this publisher: every step-th message from its
// number on. It ends early with ctx, and where it is not known whether a message
// was published over a connection that is lost.
func (p *publisher) run(ctx context.Context, pace pacer, step int, o *Options) {
	defer p.way.hangUp()
	defer p.way.settle(ctx)
	end := pace.start + o.Duration
	for k, i := 0, p.number; o.Messages == 0 || i < o.Messages; k, i = k+1, i+step {
		if !p.way.ready(ctx) {
			return
		}
		intended, ok := pace.wait(ctx, i)
		if !ok || o.Messages == 0 && intended >= end {
			return
		}
		if !p.way.publish(ctx, p.outlets[k%len(p.outlets)], intended) {
			return
		}
	}
}

// accept notes that a message was accepted.
func (p *publisher) accept(o *outlet) {
	p.accepted.Add(1)
	p.expected.Add(int64(o.channel.subscribers))
}

// answered notes that a message that was to be sent at intended is answered.
func (p *publisher) answered(intended time.Duration) {
	record(p.latency, time.Since(p.epoch)-intended)
}

// fail notes that a message was not accepted, or that nobody knows.
func (p *publisher) fail(err error) {
	p.refused++
	if p.problem == nil {
		p.problem = err
	}
}

// outletTo returns what p publishes to c by.
func (p *publisher) outletTo(c *channel) *outlet {
	return p.outlets[slices.IndexFunc(p.outlets, func(o *outlet) bool { return o.channel == c })]
}

// missing returns how many of the messages that were accepted s has not heard.
func (o *outlet) missing(s *sequence) int64 {
	n := s.missing(o.sent)
	for _, number := range o.failed {
		if !s.has(number) {
			n--
		}
	}
	return n
}
