package brokertest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pregon/pregon/broker"
)

// A modelFeed is a Feed beside what a correct one would deliver.
type modelFeed struct {
	node  modelNode
	feed  broker.Feed
	r     *reader
	added map[string]bool
	must  map[word]bool // published while the channel was there, and not heard yet
	may   map[word]bool // the same, but removed since, or at that moment
	last  map[word]int  // newest number heard, by channel and node
}

func newModelFeed(node modelNode, feed broker.Feed, r *reader) *modelFeed {
	return &modelFeed{
		node: node, feed: feed, r: r,
		added: map[string]bool{}, must: map[word]bool{}, may: map[word]bool{}, last: map[word]int{},
	}
}

func (m *modelFeed) add(channels ...string) {
	for _, c := range channels {
		m.added[c] = true
	}
}

func (m *modelFeed) remove(channels ...string) {
	for _, c := range channels {
		delete(m.added, c)
	}
	m.excuse(func(w word) bool { return slices.Contains(channels, w.channel) })
}

// excuse turns what must be heard into what may.
func (m *modelFeed) excuse(which func(word) bool) {
	for w := range m.must {
		if which(w) {
			delete(m.must, w)
			m.may[w] = true
		}
	}
}

// hears compares one message with the model.
func (m *modelFeed) hears(message broker.Message) error {
	w := word{channel: message.Channel}
	if _, err := fmt.Sscanf(string(message.Data), "%d %d", &w.node, &w.n); err != nil {
		return fmt.Errorf("heard %.40q, which nobody published", message.Data)
	}
	if !m.must[w] && !m.may[w] {
		return fmt.Errorf("heard message %d of %q, which it must not, or not again", w.n, w.channel)
	}
	delete(m.must, w)
	delete(m.may, w)
	for other := range m.must {
		if other.channel == w.channel && other.node == w.node && other.n < w.n {
			return fmt.Errorf("heard message %d of %q, but not %d before it", w.n, w.channel, other.n)
		}
	}
	stream := word{channel: w.channel, node: w.node}
	if w.n < m.last[stream] {
		return fmt.Errorf("heard message %d of %q after %d", w.n, w.channel, m.last[stream])
	}
	m.last[stream] = w.n
	return nil
}

// hearAll reads until all that must be heard was.
func (m *modelFeed) hearAll(f *fixture) {
	for len(m.must) > 0 {
		if err := m.hears(m.r.message()); err != nil {
			f.Fatalf("%v", err)
		}
	}
}

// hearRest reads what a Feed that is closed delivered before its end.
func (m *modelFeed) hearRest(f *fixture) {
	m.excuse(func(word) bool { return true })
	for {
		e := m.r.next()
		if errors.Is(e.err, broker.ErrClosed) {
			return
		}
		if e.err != nil {
			f.Fatalf("Next: %v", e.err)
		}
		if err := m.hears(e.m); err != nil {
			f.Fatalf("%v", err)
		}
	}
}
