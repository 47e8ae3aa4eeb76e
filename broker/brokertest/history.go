package brokertest

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/pregon/pregon/broker"
	"pgregory.net/rapid"
)

// testHistories draws histories on one backend; each has nodes and channels of
// its own.
func testHistories(f *fixture) {
	histories := 0
	rapid.Check(f.tb.(*testing.T), func(t *rapid.T) {
		histories++
		h := newHistory(&fixture{tb: t, open: f.open}, histories)
		t.Repeat(map[string]func(*rapid.T){
			"open a node":   h.openNode,
			"open a feed":   h.openFeed,
			"add":           h.add,
			"remove":        h.remove,
			"publish":       h.publish,
			"publish while": h.publishWhile,
			"close a feed":  h.closeFeed,
			"close a node":  h.closeNode,
		})
		h.finish()
	})
}

// A history is the model: what each open Feed must hear, and what it may.
type history struct {
	*fixture
	channels []string
	nodes    []modelNode  // the open ones; the first stays
	opened   int          // nodes so far
	feeds    []*modelFeed // the open ones
	closed   []*modelFeed
	count    int // messages published
}

type modelNode struct {
	broker.Broker
	id int
}

// A word is message n of a history.
type word struct {
	channel string
	node, n int
}

func (w word) text() string { return fmt.Sprintf("%d %d", w.node, w.n) }

func newHistory(f *fixture, number int) *history {
	h := &history{fixture: f}
	for _, c := range []string{"a", "b", "c"} {
		h.channels = append(h.channels, fmt.Sprintf("%s-%d", c, number))
	}
	h.addNode()
	return h
}

func (h *history) addNode() {
	h.opened++
	h.nodes = append(h.nodes, modelNode{h.node(), h.opened})
}

func (h *history) openNode(t *rapid.T) {
	if len(h.nodes) == 4 {
		t.Skip("enough nodes")
	}
	h.addNode()
}

func (h *history) openFeed(t *rapid.T) {
	if len(h.feeds) == 5 {
		t.Skip("enough feeds")
	}
	node := h.anyNode(t)
	feed := h.feed(node)
	h.feeds = append(h.feeds, newModelFeed(node, feed, h.read(feed)))
}

func (h *history) add(t *rapid.T) {
	m, channels := h.anyFeed(t), h.anyChannels(t)
	h.fixture.add(m.feed, channels...)
	m.add(channels...)
}

func (h *history) remove(t *rapid.T) {
	m, channels := h.anyFeed(t), h.anyChannels(t)
	h.fixture.remove(m.feed, channels...)
	m.remove(channels...)
}

func (h *history) publish(t *rapid.T) {
	h.publishWord(h.anyNode(t), h.anyChannel(t))
}

func (h *history) publishWord(node modelNode, channel string) {
	w := h.word(node, channel)
	h.say(node, channel, w.text())
	h.expect(w)
}

// publishWhile publishes while a Feed adds or removes the same channel: that Feed
// may hear the message or not, unless it had the channel and adds it again.
func (h *history) publishWhile(t *rapid.T) {
	m, node, channel := h.anyFeed(t), h.anyNode(t), h.anyChannel(t)
	adds := rapid.Bool().Draw(t, "adds")
	change := remove
	if adds {
		change = add
	}
	w := h.word(node, channel)
	changed := make(chan error, 1)
	go func() { changed <- change(h.Context(), m.feed, channel) }()
	err := publish(h.Context(), node, channel, w.text())
	if err := errors.Join(err, <-changed); err != nil {
		h.Fatalf("%v", err)
	}
	if adds && !m.added[channel] {
		m.may[w] = true
	}
	h.expect(w)
	if adds {
		m.add(channel)
	} else {
		m.remove(channel)
	}
}

func (h *history) closeFeed(t *rapid.T) {
	m := h.anyFeed(t)
	h.closes("Feed.Close", m.feed.Close)
	h.ended(func(other *modelFeed) bool { return other == m })
}

func (h *history) closeNode(t *rapid.T) {
	if len(h.nodes) == 1 {
		t.Skip("the first node stays")
	}
	i := rapid.IntRange(1, len(h.nodes)-1).Draw(t, "node")
	node := h.nodes[i]
	h.closes("Broker.Close", node.Close)
	h.nodes = slices.Delete(h.nodes, i, i+1)
	h.ended(func(m *modelFeed) bool { return m.node == node })
}

// ended moves feeds from the open to the closed ones.
func (h *history) ended(which func(*modelFeed) bool) {
	for _, m := range h.feeds {
		if which(m) {
			h.closed = append(h.closed, m)
		}
	}
	h.feeds = slices.DeleteFunc(h.feeds, which)
}

func (h *history) anyNode(t *rapid.T) modelNode {
	return h.nodes[rapid.IntRange(0, len(h.nodes)-1).Draw(t, "node")]
}

func (h *history) anyFeed(t *rapid.T) *modelFeed {
	if len(h.feeds) == 0 {
		t.Skip("no feed is open")
	}
	return h.feeds[rapid.IntRange(0, len(h.feeds)-1).Draw(t, "feed")]
}

func (h *history) anyChannel(t *rapid.T) string {
	return rapid.SampledFrom(h.channels).Draw(t, "channel")
}

func (h *history) anyChannels(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom(h.channels), 0, 3).Draw(t, "channels")
}

// word returns one that was not published before.
func (h *history) word(node modelNode, channel string) word {
	h.count++
	return word{channel, node.id, h.count}
}

// expect notes who must hear a word that has been published.
func (h *history) expect(w word) {
	for _, m := range h.feeds {
		if m.added[w.channel] {
			m.must[w] = true
		}
	}
}

// finish has every open node say a last word in every channel, by which a lost
// one is noticed, and compares what was heard with the model.
func (h *history) finish() {
	for _, m := range h.feeds {
		h.fixture.add(m.feed, h.channels...)
		m.add(h.channels...)
	}
	for _, node := range h.nodes {
		for _, c := range h.channels {
			h.publishWord(node, c)
		}
	}
	for _, m := range h.feeds {
		m.hearAll(h.fixture)
	}
	for _, m := range h.closed {
		m.hearRest(h.fixture)
	}
}
