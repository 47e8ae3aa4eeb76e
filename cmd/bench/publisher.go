package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	// publishTime bounds the answer to one publication.
	publishTime = 30 * time.Second
	// lastAnswerTime bounds it once the run was told to stop.
	lastAnswerTime = 2 * time.Second
	// freshTime is how long a connection may be idle and is still used: servers
	// close it some time after.
	freshTime = 10 * time.Second
)

// A publisher publishes messages to its channels in turn, over one connection
// that is kept alive.
type publisher struct {
	number   int
	target   target
	epoch    time.Time
	outlets  []*outlet
	conn     net.Conn
	in       *bufio.Reader
	used     time.Duration // when the connection was last used, since the epoch
	accepted *atomic.Int64 // messages of all publishers
	expected *atomic.Int64 // deliveries that follow from them
	latency  *hdrhistogram.Histogram
	refused  int64
	problem  error // the first
}

// An outlet is one channel of a publisher.
type outlet struct {
	channel *channel
	sent    int64  // messages that the server accepted, and so the next number
	request []byte // head and body
	body    []byte // the part of request that is the message
}

func newOutlet(t target, c *channel, size int) *outlet {
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		t.path("publish", c.name), t.url.Host, t.authorization, size)
	request := append([]byte(head), bytes.Repeat([]byte("x"), size)...)
	return &outlet{channel: c, request: request, body: request[len(head):]}
}

// run publishes what falls to this publisher: every step-th message from its
// number on. It ends early with ctx, and where it is not known whether a message
// was published: from there on the numbers would mean nothing.
func (p *publisher) run(ctx context.Context, pace pacer, step int, o *Options) {
	defer p.hangUp()
	end := pace.start + o.Duration
	for k, i := 0, p.number; o.Messages == 0 || i < o.Messages; k, i = k+1, i+step {
		intended, ok := pace.wait(ctx, i)
		if !ok || o.Messages == 0 && intended >= end {
			return
		}
		if !p.publish(ctx, p.outlets[k%len(p.outlets)], intended) {
			return
		}
	}
}

// publish publishes one message. It reports false where the publisher has to
// stop.
func (p *publisher) publish(ctx context.Context, o *outlet, intended time.Duration) bool {
	stamp{p.number, o.sent, intended}.put(o.body)
	resp, err := p.exchange(ctx, o.request)
	if err != nil {
		p.fail(fmt.Errorf("publish: %w", err))
		return false
	}
	record(p.latency, time.Since(p.epoch)-intended)
	if resp.StatusCode == http.StatusGatewayTimeout {
		p.fail(fmt.Errorf("publish: %w", answerError(resp)))
		return false
	}
	if resp.StatusCode/100 != 2 {
		p.fail(fmt.Errorf("publish: %w", answerError(resp)))
	} else {
		o.sent++
		p.accepted.Add(1)
		p.expected.Add(int64(o.channel.subscribers))
	}
	p.finish(resp)
	return true
}

// open connects, unless that is done.
func (p *publisher) open(ctx context.Context) error {
	if p.conn != nil {
		return nil
	}
	conn, err := p.target.dial(ctx)
	if err != nil {
		return err
	}
	p.conn, p.in, p.used = conn, bufio.NewReader(conn), time.Since(p.epoch)
	return nil
}

// exchange sends a request and reads the head of the answer.
func (p *publisher) exchange(ctx context.Context, request []byte) (*http.Response, error) {
	if time.Since(p.epoch)-p.used > freshTime {
		p.hangUp()
	}
	if err := p.open(ctx); err != nil {
		return nil, err
	}
	conn := p.conn
	_ = conn.SetDeadline(time.Now().Add(publishTime)) // fails only where the next write does, too
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(lastAnswerTime)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	return http.ReadResponse(p.in, nil)
}

// finish reads the rest of an answer, so that the connection can be used again.
func (p *publisher) finish(resp *http.Response) {
	_, err := io.Copy(io.Discard, resp.Body)
	p.used = time.Since(p.epoch)
	if err != nil || resp.Close {
		p.hangUp()
	}
}

func (p *publisher) fail(err error) {
	p.refused++
	if p.problem == nil {
		p.problem = err
	}
}

func (p *publisher) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing is left to be lost
		p.conn = nil
	}
}

// sentTo returns how many messages for c the server accepted.
func (p *publisher) sentTo(c *channel) int64 {
	for _, o := range p.outlets {
		if o.channel == c {
			return o.sent
		}
	}
	return 0
}
