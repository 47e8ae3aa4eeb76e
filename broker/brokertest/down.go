package brokertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
)

// testDown takes the backend away from a node that has a Feed, and gives it back. What
// could not be added meanwhile is not heard then, though it is published to.
func testDown(f *fixture) {
	node := f.node()
	feed := f.feed(node, "chat")
	r := f.read(feed)
	r.hear(f.say(node, "chat", "before"))
	up := f.down(node)
	f.awayCalls(node, feed)
	up()
	f.addAgain(feed, "chat")
	r.hearAfterGap(f.say(node, "chat", "since it was added again"))

	streams := f.stream(node, []string{"new", "chat"}, []string{"new", "chat"})
	_, ends := streams.stop(f)
	for _, e := range r.untilEnds(nil, ends[1:]) {
		if e.err == nil && e.m.Channel != "chat" {
			f.Fatalf("heard %q, which was added while the backend was away, and without success", e.m.Channel)
		}
	}
	f.add(feed, "new")
	r.hear(f.say(node, "new", "added now"), f.say(node, "chat", "end"))
}

// addAgain adds a channel that feed has, until that succeeds: then the backend has
// confirmed it since the link was lost.
func (f *fixture) addAgain(feed broker.Feed, channel string) {
	f.Helper()
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for began := time.Now(); ; {
		err := add(f.Context(), feed, channel)
		if err == nil {
			return
		}
		if !errors.Is(err, broker.ErrUnavailable) || time.Since(began) > guard {
			f.Fatalf("while the backend comes back: %v", err)
		}
		<-pace.C
	}
}

// hearAfterGap reads up to last, ahead of which a gap names its channel.
func (r *reader) hearAfterGap(last said) {
	r.f.Helper()
	for told := false; ; {
		e := r.next()
		switch {
		case e.err != nil:
			gap, err := asGap(e.err)
			if err != nil {
				r.f.Fatalf("after the backend was away: %v", err)
			}
			told = told || slices.Contains(gap.Channels, last.channel)
		case string(e.m.Data) == awayText: // it got through
		case said{e.m.Channel, string(e.m.Data)} != last:
			r.f.Fatalf("heard %q in %q, which was not published since the backend is back", e.m.Data, e.m.Channel)
		case !told:
			r.f.Fatalf("the backend was away, and no gap says so")
		default:
			return
		}
	}
}

// awayText is published while the backend is away.
const awayText = "away"

// awayCalls makes all calls while the backend is away. One that had its connection
// open may have sent a publication, and a driver may need such a call to notice.
func (f *fixture) awayCalls(node broker.Broker, feed broker.Feed) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	for began, unavailable := time.Now(), 0; unavailable < 3; {
		_, err := node.Publish(ctx, broker.Message{Channel: "chat", Data: []byte(awayText)})
		switch {
		case errors.Is(err, broker.ErrUncertain), err == nil && time.Since(began) < time.Second:
		case errors.Is(err, broker.ErrUnavailable):
			unavailable++
		default:
			f.Fatalf("Publish while the backend is away: error %v, want one that matches ErrUnavailable or ErrUncertain", err)
		}
		if time.Since(began) > guard {
			f.Fatalf("the backend was away for %v, and Publish has not said so", guard)
		}
	}
	for range 2 {
		if err := feed.Subscribe(ctx, "new"); !errors.Is(err, broker.ErrUnavailable) {
			f.Fatalf("Subscribe while the backend is away: error %v, want one that matches ErrUnavailable", err)
		}
	}
	if h, ok := broker.HistoryOf(node); ok {
		if p, ok := h.(broker.Prober); ok {
			if _, err := p.Probe(ctx, broker.Message{Channel: "__new"}); !errors.Is(err, broker.ErrUnavailable) {
				f.Errorf("Probe while the backend is away: error %v, want one that matches ErrUnavailable", err)
			}
		}
		for what, read := range readings(h) {
			if err := read(ctx, "chat"); !errors.Is(err, broker.ErrUnavailable) {
				f.Errorf("%s while the backend is away: error %v, want one that matches ErrUnavailable", what, err)
			}
		}
	}
}

// readings are the calls that a Historian has, each with what it says.
func readings(h broker.Historian) map[string]func(ctx context.Context, channel string) error {
	return map[string]func(ctx context.Context, channel string) error{
		"History": func(ctx context.Context, channel string) error {
			_, err := h.History(ctx, channel, broker.Query{Limit: 1})
			return err
		},
		"Newest": func(ctx context.Context, channel string) error {
			_, err := h.Newest(ctx, "one", channel)
			return err
		},
		"Keep": func(ctx context.Context, channel string) error { return h.Keep(ctx, "one", channel) },
	}
}

// testDenied uses a channel that is not allowed among others that are.
func testDenied(f *fixture) {
	node, denied := f.denied()
	f.own(node)
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	feed := f.feed(node, "chat")
	r := f.read(feed)
	refused := func(what string, err error) {
		f.Helper()
		if !errors.Is(err, broker.ErrDenied) || errors.Is(err, broker.ErrUncertain) || errors.Is(err, broker.ErrUnavailable) {
			f.Errorf("%s a channel that is not allowed: error %v, want one that matches ErrDenied only", what, err)
		}
	}
	_, err := node.Publish(ctx, broker.Message{Channel: denied, Data: []byte("x")})
	refused("Publish to", err)
	refused("Subscribe of", feed.Subscribe(ctx, denied))
	refused("Subscribe of", feed.Subscribe(ctx, "new", denied))
	f.say(node, "new", "to a channel that was not added")
	batch := []broker.Message{
		{Channel: "chat", Data: []byte("1")}, {Channel: denied, Data: []byte("2")}, {Channel: "chat", Data: []byte("3")},
	}
	for i, result := range broker.PublishAll(ctx, node, batch) {
		if batch[i].Channel == denied {
			refused("PublishAll to", result.Err)
		} else if result.Err != nil {
			f.Errorf("a message of a batch beside one that is not allowed: %v", result.Err)
		}
	}
	r.hear(said{"chat", "1"}, said{"chat", "3"}, f.say(node, "chat", "end"))
}

// testUnreachable is about nodes whose backend is not there: nothing can have been
// sent.
func testUnreachable(f *fixture) {
	node := f.node()
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	unavailable := func(what string, err error) {
		f.Helper()
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrUncertain) {
			f.Errorf("%s without a backend: error %v, want one that matches ErrUnavailable only", what, err)
		}
	}
	m := broker.Message{Channel: "chat", Data: []byte("x")}
	_, err := node.Publish(ctx, m)
	unavailable("Publish", err)
	for _, result := range broker.PublishAll(ctx, node, []broker.Message{m, m}) {
		unavailable("PublishAll", result.Err)
	}
	feed, err := node.Feed(ctx)
	if err != nil {
		f.Fatalf("Feed does not wait for the backend: %v", err)
	}
	f.Cleanup(func() { f.closes("Feed.Close", feed.Close) })
	unavailable("Subscribe", feed.Subscribe(ctx, "chat"))
	if h, ok := broker.HistoryOf(node); ok {
		for what, read := range readings(h) {
			unavailable(what, read(ctx, "chat"))
		}
	}
}
