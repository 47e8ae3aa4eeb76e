package server_test

import (
	"context"
	"encoding/json"
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
	publishers []*publisher
	remembers  bool     // cursors
	cursors    sync.Map // of what was accepted, by its text

	quit    chan struct{}
	running sync.WaitGroup
	began   time.Time
	lasted  time.Duration

	refused atomic.Int64 // publications that were said not to have happened
	unknown atomic.Int64 // and those of which nobody knows
	unheard atomic.Int64 // and of strangers, those that no node has heard
	split   atomic.Int64 // and of neighbours, those that a replaced master has accepted
}

// A publisher publishes to one channel, one message after the other.
type publisher struct {
	id       int
	channel  int
	interval time.Duration
	say      func(n int) error
	again    func(error) bool // whether a number is to be published again
	stranger bool             // what it publishes is in no history

	mu      sync.Mutex
	numbers []number // from 0
	newest  int      // that was accepted
	count   int64    // of those
}

// A number is what became of one publication.
type number struct {
	begun, answered time.Time
	accepted        bool
}

func newLoad(c *chaos) *load {
	l := &load{chaos: c, quit: make(chan struct{})}
	for channel := range chaosChannels {
		l.addPosting(channel)
	}
	l.pace(longForm(*chaosRate, 500))
	l.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext:         func(ctx context.Context, network, addr string) (net.Conn, error) { return c.dial(ctx, network, addr) },
		MaxIdleConnsPerHost: len(l.publishers),
	}}
	return l
}

// add adds a publisher to a channel.
func (l *load) add(channel int) *publisher {
	p := &publisher{id: len(l.publishers), channel: channel}
	l.publishers = append(l.publishers, p)
	return p
}

// addPosting adds the publishers of a channel that use HTTP.
func (l *load) addPosting(channel int) {
	for range eachChannel {
		p := l.add(channel)
		p.say = func(n int) error { return l.post(p, n) }
		p.again = func(error) bool { return l.again }
	}
}

// pace has the publishers that there are make so many messages a second.
func (l *load) pace(rate int) {
	for _, p := range l.publishers {
		p.interval = time.Second * time.Duration(len(l.publishers)) / time.Duration(rate)
	}
}

// of returns the publishers of a channel.
func (l *load) of(channel int) (publishers []*publisher) {
	for _, p := range l.publishers {
		if p.channel == channel {
			publishers = append(publishers, p)
		}
	}
	return publishers
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
		if p.stranger {
			continue // it has a place in no history
		}
		var err error
		await(func() bool { err = p.say(0); return !errors.Is(err, errRefused) }) // as it may be for a moment on a busy machine
		if err != nil {
			l.chaos.t.Fatal("the first message of a channel:", err)
		}
	}
}

func (l *load) run(p *publisher) {
	for n, next := 1, time.Now(); l.wait(time.Until(next)); n++ {
		p.begin(n)
		for err := l.say(p, n); err != nil && p.again(err); err = l.say(p, n) {
			if !l.wait(10 * time.Millisecond) {
				return // it is heard, or it is not
			}
		}
		if next = next.Add(p.interval); time.Since(next) > p.interval {
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

// say publishes a number.
func (l *load) say(p *publisher, n int) error {
	err := p.say(n)
	switch {
	case err == nil:
		p.accept(n)
	case errors.Is(err, errUnknown):
		l.unknown.Add(1)
	case errors.Is(err, errUnheard):
		l.unheard.Add(1)
	case errors.Is(err, errSplit):
		l.split.Add(1)
	default:
		l.refused.Add(1)
	}
	return err
}

var (
	errUnknown = errors.New("the outcome is unknown")
	errRefused = errors.New("it was not published")
)

func (l *load) post(p *publisher, n int) error {
	text := p.text(n)
	req, err := http.NewRequest(http.MethodPost, "http://"+l.chaos.addressFor(p.id)+"/publish/"+channelName(p.channel), strings.NewReader(text))
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
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	var receipt object
	switch resp.StatusCode {
	case http.StatusOK:
		if err == nil && json.Unmarshal(body, &receipt) == nil {
			l.remember(text, receipt.ID)
		}
		return nil
	case http.StatusServiceUnavailable:
		return errRefused
	default:
		return errUnknown
	}
}

// text is the message with number n.
func (p *publisher) text(n int) string { return textOf(p.id, n) }

func (l *load) remember(text, cursor string) {
	if l.remembers {
		l.cursors.Store(text, cursor)
	}
}

// cursor returns that of a message, empty where it is not known.
func (l *load) cursor(text string) string {
	cursor, _ := l.cursors.Load(text)
	known, _ := cursor.(string)
	return known
}

// awaitCursor returns the cursor of a message, which its publisher may learn a little
// after others have heard it. It is empty where it is not known.
func (l *load) awaitCursor(ctx context.Context, text string) string {
	for range 20 {
		if !l.remembers || text == "" || ctx.Err() != nil {
			return ""
		}
		if cursor := l.cursor(text); cursor != "" {
			return cursor
		}
		pause(ctx, 50*time.Millisecond)
	}
	return ""
}

// begin notes that n is about to be published.
func (p *publisher) begin(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(p.numbers) <= n {
		p.numbers = append(p.numbers, number{begun: time.Now()})
	}
}

func (p *publisher) accept(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers[n].accepted, p.numbers[n].answered = true, time.Now()
	p.newest = n
	p.count++
}

// between returns a number that was begun and accepted between two times, 0 for none.
func (p *publisher) between(from, to time.Time) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.numbers) - 1; i > 0 && p.numbers[i].begun.After(from); i-- {
		if n := p.numbers[i]; n.accepted && n.answered.Before(to) {
			return i
		}
	}
	return 0
}

// begun returns the newest number that a publisher has begun to publish.
func (l *load) begun(publisher int) int {
	p := l.publishers[publisher]
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(0, len(p.numbers)-1)
}

// accepted reports whether a number of a publisher was.
func (l *load) accepted(publisher, n int) bool {
	p := l.publishers[publisher]
	p.mu.Lock()
	defer p.mu.Unlock()
	return n < len(p.numbers) && p.numbers[n].accepted
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

// ofStrangers returns how many messages of strangers a node has heard.
func (l *load) ofStrangers() (n int64) {
	for _, p := range l.publishers {
		p.mu.Lock()
		if p.stranger {
			n += p.count
		}
		p.mu.Unlock()
	}
	return n
}

// total returns how many were accepted that a history has.
func (l *load) total() (n int64) {
	for _, p := range l.publishers {
		if p.stranger {
			continue
		}
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
