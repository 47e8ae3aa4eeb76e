package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A load is publishers, each of which numbers its messages from 1: "publisher
// number" is their text. It keeps which of them were accepted.
type load struct {
	chaos      *chaos
	client     *http.Client
	again      bool // a number is published until it is accepted, with a key
	interval   time.Duration
	publishers []*publisher

	quit    chan struct{}
	running sync.WaitGroup
	began   time.Time
	lasted  time.Duration

	refused atomic.Int64 // publications that were said not to have happened
	unknown atomic.Int64 // and those of which nobody knows
}

// A publisher publishes to one channel, one message after the other.
type publisher struct {
	id      int
	channel string

	mu       sync.Mutex
	accepted []bool // by number, from 1
	newest   int    // of those
	count    int64
}

func newLoad(c *chaos) *load {
	l := &load{chaos: c, quit: make(chan struct{})}
	for id := range chaosChannels * eachChannel {
		l.publishers = append(l.publishers, &publisher{id: id, channel: channelName(id / eachChannel)})
	}
	l.interval = time.Second * time.Duration(len(l.publishers)) / time.Duration(longForm(*chaosRate, 500))
	l.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext:         func(ctx context.Context, network, addr string) (net.Conn, error) { return c.dial(ctx, network, addr) },
		MaxIdleConnsPerHost: len(l.publishers),
	}}
	return l
}

func channelName(i int) string { return fmt.Sprint("c", i) }

// publish starts the publishers as soon as every client is there. Where again is set
// they repeat a publication with its key until it is accepted; otherwise each goes on
// with a new number.
func (c *chaos) publish(again bool) {
	for _, ch := range c.checkers {
		c.until(ch.name+" is not connected", ch.joined)
	}
	l := c.load
	l.again, l.began = again, time.Now()
	for _, p := range l.publishers {
		l.running.Go(func() { l.run(p) })
	}
}

// begin publishes number 0 to each channel, so that none is empty: who comes back to
// a channel that was is told that it may have missed something.
func (l *load) begin() {
	for _, p := range l.publishers {
		if err := l.post(p, 0); err != nil {
			l.chaos.t.Fatal("the first message of a channel:", err)
		}
	}
}

func (l *load) run(p *publisher) {
	for n, next := 1, time.Now(); l.wait(time.Until(next)); n++ {
		for !l.say(p, n) && l.again {
			if !l.wait(10 * time.Millisecond) {
				return // it is heard, or it is not
			}
		}
		p.close(n)
		if next = next.Add(l.interval); time.Since(next) > l.interval {
			next = time.Now() // what an outage has held up is not made up for
		}
	}
}

// wait reports false where the publishers are to stop.
func (l *load) wait(d time.Duration) bool {
	if d <= 0 {
		select {
		case <-l.quit:
			return false
		default:
			return true
		}
	}
	select {
	case <-l.quit:
		return false
	case <-time.After(d):
		return true
	}
}

// say reports whether a number was accepted.
func (l *load) say(p *publisher, n int) bool {
	switch err := l.post(p, n); {
	case err == nil:
		p.accept(n)
		return true
	case errors.Is(err, errUnknown):
		l.unknown.Add(1)
	default:
		l.refused.Add(1)
	}
	return false
}

var (
	errUnknown = errors.New("the outcome is unknown")
	errRefused = errors.New("it was not published")
)

func (l *load) post(p *publisher, n int) error {
	text := fmt.Sprintf("%d %d", p.id, n)
	req, err := http.NewRequest(http.MethodPost, "http://"+l.chaos.addressFor(p.id)+"/publish/"+p.channel, strings.NewReader(text))
	if err != nil {
		return err
	}
	if l.again {
		req.Header.Set("Idempotency-Key", text)
	}
	resp, err := l.client.Do(req)
	if dial := (*net.OpError)(nil); errors.As(err, &dial) && dial.Op == "dial" {
		return errRefused // it has not come as far as a node
	}
	if err != nil {
		return errUnknown
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return errRefused
	default:
		return errUnknown
	}
}

// close notes that n is done with, accepted or not.
func (p *publisher) close(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.accepted) <= n {
		p.accepted = append(p.accepted, false)
	}
}

func (p *publisher) accept(n int) {
	p.close(n)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accepted[n] = true
	p.newest = n
	p.count++
}

// accepted reports whether a number of a publisher was.
func (l *load) accepted(publisher, n int) bool {
	p := l.publishers[publisher]
	p.mu.Lock()
	defer p.mu.Unlock()
	return n < len(p.accepted) && p.accepted[n]
}

// newest returns the newest number of each publisher that was accepted, 0 for none.
func (l *load) newest() []int {
	newest := make([]int, len(l.publishers))
	for i, p := range l.publishers {
		p.mu.Lock()
		newest[i] = p.newest
		p.mu.Unlock()
	}
	return newest
}

// total returns how many were accepted.
func (l *load) total() (n int64) {
	for _, p := range l.publishers {
		p.mu.Lock()
		n += p.count
		p.mu.Unlock()
	}
	return n
}

func (l *load) stop() {
	close(l.quit)
	l.running.Wait()
	l.lasted = time.Since(l.began)
	l.client.CloseIdleConnections()
}

// summary says what was published. down is the time in which that was impossible.
func (l *load) summary(down time.Duration) string {
	n := l.total()
	return fmt.Sprintf("%d messages were accepted in %v, %.0f/s, and %.0f/s but for the %v in which Redis did not run; %d attempts refused, %d with an unknown outcome",
		n, l.lasted.Round(time.Second), float64(n)/l.lasted.Seconds(), float64(n)/(l.lasted-down).Seconds(), down.Round(time.Second),
		l.refused.Load(), l.unknown.Load())
}
