package server_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A liar is a broker that keeps no history and tampers with the third and the sixth message
// of a publisher on their way to a node, which so cannot notice.
type liar struct {
	broker.Broker
	lie lie
}

// lastLie is the last message of a publisher that a liar tampers with.
const lastLie = 6

// A lie is what becomes of such a message and the one after it.
type lie func(third, next broker.Message) []broker.Message

func (l liar) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := l.Broker.Feed(ctx)
	return &lyingFeed{Feed: f, lie: l.lie, held: map[int]broker.Message{}}, err
}

type lyingFeed struct {
	broker.Feed
	lie  lie
	held map[int]broker.Message // by publisher, where the third was the newest
	next []broker.Message
}

func (f *lyingFeed) Next() (broker.Message, error) {
	for len(f.next) == 0 {
		m, err := f.Feed.Next()
		if err != nil {
			return m, err
		}
		f.take(m)
	}
	m := f.next[0]
	f.next = f.next[1:]
	return m, nil
}

func (f *lyingFeed) take(m broker.Message) {
	publisher, n, err := parseSaid(string(m.Data))
	held, ok := f.held[publisher]
	switch {
	case err == nil && n%3 == 0 && n <= lastLie: // another message follows before the test ends
		f.held[publisher] = m
	case err == nil && ok:
		f.next = f.lie(held, m)
		delete(f.held, publisher)
	default:
		f.next = []broker.Message{m}
	}
}

// A chaos test finds messages that a node loses, doubles or swaps, by clients of each
// kind, and finds nothing where nothing is wrong.
func TestChaosFindsLies(t *testing.T) {
	type messages = []broker.Message
	for _, lie := range []struct {
		name  string
		lie   lie
		found string // what a checker says, "" for nothing
	}{
		{"none", func(third, next broker.Message) messages { return messages{third, next} }, ""},
		{"lost", func(_, next broker.Message) messages { return messages{next} }, "is missing"},
		{"twice", func(third, next broker.Message) messages { return messages{third, third, next} }, "after"},
		{"swapped", func(third, next broker.Message) messages { return messages{next, third} }, "after"},
	} {
		t.Run(lie.name, func(t *testing.T) {
			b := memory.New()
			t.Cleanup(func() { _ = b.Close() })
			c := newChaos(t, start(t, server.Options{Broker: liar{b, lie.lie}}).addr)
			c.steady(3)
			c.publish(false)
			c.until("too little is published", func() bool { return slices.Min(c.load.newest()) > lastLie })
			c.load.stop()
			c.heard()
			c.end()
			_, wrong := c.verdict(true, true)
			if lie.found == "" && len(wrong) > 0 {
				t.Errorf("found %q where there is nothing", wrong)
			}
			for _, ch := range c.checkers {
				if _, _, errs := ch.report(); lie.found != "" && !strings.Contains(strings.Join(errs, "\n"), lie.found) {
					t.Errorf("%s has found %q", ch.name, errs)
				}
			}
		})
	}
}
