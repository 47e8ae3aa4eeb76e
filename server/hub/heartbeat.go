package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
)

// heartbeatPrefix begins the name of the channel on which a hub hears itself.
const heartbeatPrefix = "__pregon.heartbeat."

// missedBeats is how many heartbeats may be missing before a hub is not ready.
const missedBeats = 3

// ErrUnheard means that the broker accepts messages and does not bring them back.
var ErrUnheard = errors.New("hub: a message was published but was not heard through the subscription")

// A heartbeat is a message that the hub publishes to itself at intervals: the
// only proof that messages really go through the broker. Each says something that
// nobody could know before, and counts once: what else comes on the channel, whose
// name is no secret on Redis, is another program's.
type heartbeat struct {
	hub     *Hub
	topic   *topic
	settled chan struct{} // closed when the last word came back

	epoch uint64 // of the newest, 0 without a history; the reader's own

	mu       sync.Mutex
	expected []string      // that were published and have not come back, oldest first
	last     string        // the last word, once it was said
	heard    time.Time     // when one came back last
	problem  error         // what has failed since
	news     chan struct{} // closed and replaced when either changes
}

// maxExpected is how many heartbeats may be under way.
const maxExpected = 16

// newHeartbeat makes the hub want its own channel, whose random name is this
// node's alone.
func newHeartbeat(h *Hub) *heartbeat {
	b := &heartbeat{hub: h, news: make(chan struct{}), settled: make(chan struct{})}
	b.topic = h.topics.listen(heartbeatPrefix+rand.Text(), b.hear)
	return b
}

// run publishes until the hub closes, beginning when the channel is there.
func (b *heartbeat) run() {
	if b.hub.topics.interest.Await(b.hub.ctx, b.topic.want) != nil {
		return
	}
	tick := time.NewTicker(b.hub.options.Heartbeat)
	defer tick.Stop()
	for {
		b.publish()
		select {
		case <-tick.C:
		case <-b.hub.ctx.Done():
			return
		}
	}
}

func (b *heartbeat) publish() {
	ctx, cancel := context.WithTimeout(b.hub.ctx, missedBeats*b.hub.options.Heartbeat)
	defer cancel()
	if err := b.hub.say(ctx, b.topic.name, []byte(b.expect())); err != nil && b.hub.ctx.Err() == nil {
		b.failed(err)
	}
}

// expect returns what the next heartbeat says.
func (b *heartbeat) expect() string {
	word := rand.Text()
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.expected) == maxExpected {
		b.expected = slices.Delete(b.expected, 0, 1)
	}
	b.expected = append(b.expected, word)
	return word
}

// settle returns when all that was published before has been handed to the
// workers, as far as the broker keeps the order, or after one heartbeat's time.
func (b *heartbeat) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, b.hub.options.Heartbeat)
	defer cancel()
	word := b.expect()
	b.mu.Lock()
	b.last = word
	b.mu.Unlock()
	if b.hub.say(ctx, b.topic.name, []byte(word)) != nil {
		return // a broker that is down has nothing more for us
	}
	select {
	case <-b.settled:
	case <-ctx.Done():
	}
}

// hear is called by the reader for each message on the channel.
func (b *heartbeat) hear(m broker.Message) {
	before, ours := b.note(string(m.Data))
	if e := m.Position.Epoch; ours && e != 0 {
		if b.epoch != 0 && b.epoch != e {
			b.hub.filler.Anew(before)
		}
		b.epoch = e
	}
}

// note notes that word came back, and returns when the one before did. It reports
// false where word was not expected.
func (b *heartbeat) note(word string) (before time.Time, ours bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := slices.Index(b.expected, word)
	if i < 0 {
		return before, false
	}
	b.expected = slices.Delete(b.expected, 0, i+1)
	if word == b.last {
		close(b.settled)
	}
	if b.problem != nil {
		b.hub.log.Info("hub: messages come back through the broker again")
	}
	before = b.heard
	b.heard, b.problem = time.Now(), nil
	b.tell()
	return before, true
}

// failed notes why heartbeats cannot come back.
func (b *heartbeat) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.problem == nil {
		b.hub.log.Warn("hub: not ready", "error", err)
	}
	b.problem = err
	b.tell()
}

func (b *heartbeat) tell() {
	close(b.news)
	b.news = make(chan struct{})
}

// state returns whether a heartbeat has ever been heard, a channel that is
// closed when something changes, and what is wrong, nil for nothing.
func (b *heartbeat) state() (ever bool, news <-chan struct{}, problem error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	problem = b.problem
	if problem == nil && time.Since(b.heard) > missedBeats*b.hub.options.Heartbeat {
		problem = ErrUnheard
	}
	return !b.heard.IsZero(), b.news, problem
}

// Ready returns nil where a message went through the broker and came back within
// the last three heartbeats, and otherwise what is wrong.
func (h *Hub) Ready() error {
	_, _, problem := h.health.state()
	return problem
}

// Check waits for the first message to go through the broker and come back. It
// returns the first thing that goes wrong, or ErrUnheard when ctx ends. The Hub
// goes on trying in any case.
func (h *Hub) Check(ctx context.Context) error {
	for {
		ever, news, problem := h.health.state()
		switch {
		case ever && problem == nil:
			return nil
		case problem != nil && !errors.Is(problem, ErrUnheard):
			return problem
		}
		select {
		case <-news:
		case <-ctx.Done():
			return fmt.Errorf("%w within the time given", ErrUnheard)
		}
	}
}
