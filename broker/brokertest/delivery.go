package brokertest

import (
	"fmt"
	"strconv"

	"github.com/pregon/pregon/broker"
)

func testOrder(f *fixture) {
	const publishers = 8
	n := scaled(1000)
	nodes := []broker.Broker{f.node(), f.node()}
	readers := []*reader{f.read(f.feed(nodes[0], "chat")), f.read(f.feed(nodes[1], "chat"))}
	wait := f.begin(publishers, func(i int) error {
		for k := range n {
			if err := publish(f.Context(), nodes[i%2], "chat", numbered(strconv.Itoa(i), k+1)); err != nil {
				return err
			}
		}
		return nil
	})
	for _, r := range readers {
		t := newTally()
		for t.heard < publishers*n {
			if err := t.message(r.message()); err != nil {
				f.Fatalf("%v", err)
			}
		}
	}
	wait()
}

func testEveryNodeHears(f *fixture) {
	nodes := []broker.Broker{f.node(), f.node(), f.node()}
	var readers []*reader
	for _, node := range nodes {
		readers = append(readers, f.read(f.feed(node, "chat")), f.read(f.feed(node, "chat")))
	}
	for round := range 3 {
		var all []said
		for i, node := range nodes {
			all = append(all, f.say(node, "chat", fmt.Sprintf("round %d, node %d", round, i)))
		}
		for _, r := range readers {
			r.hear(all...)
		}
	}
}

// Each fresh channel gets two messages: a first one that was lost is noticed by
// the arrival of the second.
func testAddThenPublish(f *fixture) {
	const workers = 8
	n := scaled(10_000) / workers
	feed, other := f.feed(f.node()), f.node()
	r := f.read(feed)
	wait := f.begin(workers, func(i int) error {
		for k := range n {
			channel := fmt.Sprintf("fresh-%d-%d", i, k)
			if err := add(f.Context(), feed, channel); err != nil {
				return err
			}
			for number := 1; number <= 2; number++ {
				if err := publish(f.Context(), other, channel, numbered(channel, number)); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for t := newTally(); t.heard < 2*workers*n; {
		if err := t.message(r.message()); err != nil {
			f.Fatalf("%v", err)
		}
	}
	wait()
}

func testConcurrentAdds(f *fixture) {
	const goroutines = 64
	nodes := []broker.Broker{f.node(), f.node()}
	feed := f.feed(nodes[0])
	r := f.read(feed)
	for round := range scaled(50) {
		channel := fmt.Sprintf("join-%d", round)
		all := make([]said, goroutines)
		wait := f.begin(goroutines, func(i int) error {
			all[i] = said{channel, strconv.Itoa(i)}
			if err := add(f.Context(), feed, channel); err != nil {
				return err
			}
			return publish(f.Context(), nodes[i%2], channel, all[i].text)
		})
		wait()
		r.hear(append(all, f.say(nodes[0], channel, "end"), f.say(nodes[1], channel, "end too"))...)
	}
}

func testAddAgain(f *fixture) {
	node, other := f.node(), f.node()
	feed := f.feed(node, "chat", "chat", "kept")
	r := f.read(feed)
	f.add(feed)
	f.add(feed, "chat")
	f.add(feed, "new", "chat")
	r.hear(f.say(other, "chat", "once"), f.say(other, "chat", "end"))
	r.hear(f.say(other, "new", "once"), f.say(other, "new", "end"))
	f.remove(feed)
	f.remove(feed, "chat", "never added")
	f.say(other, "chat", "removed")
	r.hear(f.say(other, "kept", "end"))
}

func testManyChannels(f *fixture) {
	const workers = 8
	channels := make([]string, scaled(4000))
	all := make([]said, len(channels))
	for i := range channels {
		channels[i] = fmt.Sprintf("many-%d", i)
		all[i] = said{channels[i], strconv.Itoa(i)}
	}
	node := f.node()
	feed := f.feed(node, channels...)
	r := f.read(feed)
	wait := f.begin(workers, func(w int) error {
		for i := w; i < len(all); i += workers {
			if err := publish(f.Context(), node, all[i].channel, all[i].text); err != nil {
				return err
			}
		}
		return nil
	})
	r.hear(all...)
	wait()
	f.remove(feed, channels[1:]...)
	for _, c := range channels[1:min(len(channels), 100)] {
		f.say(node, c, "removed")
	}
	r.hear(f.say(node, channels[0], "end"))
}

func testRemovedIsSilent(f *fixture) {
	node, other := f.node(), f.node()
	feed := f.feed(node, "gone", "kept")
	r := f.read(feed)
	for round := range scaled(200) {
		text := func(what string) string { return fmt.Sprintf("%s, round %d", what, round) }
		r.hear(f.say(other, "gone", text("before")))
		f.remove(feed, "gone")
		f.say(other, "gone", text("removed"))
		f.say(node, "gone", text("removed"))
		r.hear(f.say(other, "kept", text("end")), f.say(node, "kept", text("end too")))
		f.add(feed, "gone")
		r.hear(f.say(other, "gone", text("again")))
	}
}

func testFeedsAreIndependent(f *fixture) {
	node, other := f.node(), f.node()
	one, two, three := f.feed(node, "chat"), f.feed(node, "chat", "news"), f.feed(node, "chat")
	r1, r2 := f.read(one), f.read(two)
	f.closes("Feed.Close", three.Close)
	r2.hear(f.say(other, "news", "for two"))
	hello := f.say(other, "chat", "for both")
	r1.hear(hello)
	r2.hear(hello)
	f.remove(two, "chat")
	r1.hear(f.say(other, "chat", "for one"))
	f.add(one, "news")
	news := f.say(other, "news", "end")
	r1.hear(news)
	r2.hear(news)
}
