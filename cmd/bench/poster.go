package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// freshTime is how long a connection may be idle and is still used: servers close
// it some time after.
const freshTime = 10 * time.Second

// A poster is the way of a publisher over HTTP: one request after the other, over
// one connection that is kept alive.
type poster struct {
	*publisher
	conn net.Conn
	in   *bufio.Reader
	used time.Duration // when the connection was last used, since the epoch
}

// outlet implements way. The request is head and body.
func (p *poster) outlet(c *channel, size int) *outlet {
	t := p.target
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
		t.path("publish/"+c.name), t.url.Host, t.authorization, size)
	request := append([]byte(head), bytes.Repeat([]byte("x"), size)...)
	return &outlet{channel: c, request: request, body: request[len(head):]}
}

// ready implements way: a publication is over when it is answered.
func (p *poster) ready(context.Context) bool { return true }

// settle implements way.
func (p *poster) settle(context.Context) {}

// publish implements way. A number is used again until it is accepted. Where
// it is not known whether it was, later ones would mean nothing.
func (p *poster) publish(ctx context.Context, o *outlet, intended time.Duration) bool {
	stamp{p.number, o.sent, intended}.put(o.body)
	resp, err := p.exchange(ctx, o.request)
	if err != nil {
		p.fail(fmt.Errorf("publish: %w", err))
		return false
	}
	p.answered(intended)
	if resp.StatusCode == http.StatusGatewayTimeout {
		p.fail(fmt.Errorf("publish: %w", answerError(resp)))
		return false
	}
	if resp.StatusCode/100 != 2 {
		p.fail(fmt.Errorf("publish: %w", answerError(resp)))
	} else {
		o.sent++
		p.accept(o)
	}
	p.finish(resp)
	return true
}

// open implements way.
func (p *poster) open(ctx context.Context) error {
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
func (p *poster) exchange(ctx context.Context, request []byte) (*http.Response, error) {
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
func (p *poster) finish(resp *http.Response) {
	_, err := io.Copy(io.Discard, resp.Body)
	p.used = time.Since(p.epoch)
	if err != nil || resp.Close {
		p.hangUp()
	}
}

// hangUp implements way.
func (p *poster) hangUp() {
	if p.conn != nil {
		_ = p.conn.Close() // nothing is left to be lost
		p.conn = nil
	}
}
