package brokertest

import (
	"fmt"
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
)

// fewRetained is how many messages of a channel are to be kept where that is less than of
// others.
const fewRetained = 3

// testHistoryRetained has less of the channel "c" be kept than of others, then more, then
// less again. More than that may be there, as long as nothing is said of it that is wrong.
func testHistoryRetained(f *fixture) {
	p, other := f.past(), f.past()
	common := p.kept.Retention().MaxMessages
	if common > 10_000 {
		f.Fatalf("the history is too large for this test: %d messages", common)
	}
	say := func(n int) {
		keep := broker.Retention{MaxMessages: n}
		p.retain("c", keep)
		other.retain("c", keep)
	}
	before := p.keep("c", "before")
	say(fewRetained)
	texts := p.fill("c", 20)
	p.retained(other, "c", before, texts)
	first := other.keep("others", "first")
	texts = p.fill("others", common-1)
	if got := p.rest("others", first, 500); !slices.Equal(got, texts) {
		f.Fatalf("of a channel of which nothing was said %d messages are there, and not %d: %s", len(got), len(texts), brief(got))
	}

	before = p.newest("c")
	say(2 * common)
	again := f.begin(4, func(int) error { // while messages are published
		for range 20 {
			say(2 * common)
		}
		return nil
	})
	texts = p.fill("c", 2*common)
	again()
	if got := other.rest("c", before, 500); !slices.Equal(got, texts) {
		f.Fatalf("of %d messages, which are all to be kept, %d are there: %s", len(texts), len(got), brief(got))
	}

	before = p.newest("c")
	say(fewRetained)
	p.retained(other, "c", before, p.fill("c", 2*fewRetained))
}

// retain says what is kept of one channel. Of others nothing is said.
func (p past) retain(channel string, keep broker.Retention) {
	p.node.(broker.Retainer).Retain(keep, func(c string) broker.Retention {
		if c == channel {
			return keep
		}
		return broker.Retention{}
	})
}

// fill publishes n messages to a channel and returns their texts.
func (p past) fill(channel string, n int) (texts []string) {
	p.Helper()
	var batch []broker.Message
	for i := range n {
		texts = append(texts, fmt.Sprint("text ", i))
		batch = append(batch, broker.Message{Channel: channel, Data: []byte(texts[i])})
	}
	for some := range slices.Chunk(batch, 500) {
		for _, result := range broker.PublishAll(p.Context(), p.node, some) {
			if result.Err != nil {
				p.Fatalf("publishing: %v", result.Err)
			}
		}
	}
	return texts
}

// retained checks that the newest few of texts are kept, in the epoch of before, which was
// the newest position ahead of them, and that nothing is claimed that is not so.
func (p past) retained(reader past, channel string, before broker.Position, texts []string) {
	p.Helper()
	page := reader.read(channel, broker.Position{}, fewRetained)
	if want := texts[len(texts)-fewRetained:]; !slices.Equal(textsOf(page), want) {
		p.Fatalf("the newest messages are %q, want %q", textsOf(page), want)
	}
	if newest := reader.newest(channel); newest.Epoch != before.Epoch {
		p.Fatalf("what is kept of a channel was said anew, and after %v comes %v", before, newest)
	}
	page = reader.read(channel, before, 2*len(texts))
	if len(page.Messages) == 0 {
		p.Fatalf("behind %v, where %d messages were published, is nothing", before, len(texts))
	}
	if page.Complete != page.Messages[0].Follows(before) {
		p.Fatalf("behind %v comes %v, which follows %v, and the history is complete: %v",
			before, page.Messages[0].Position, page.Messages[0].Prev, page.Complete)
	}
	for i, m := range page.Messages[1:] {
		if !m.Follows(page.Messages[i].Position) {
			p.Fatalf("behind %v comes %v, which follows %v", page.Messages[i].Position, m.Position, m.Prev)
		}
	}
}

// testHistoryOutlasts has a channel be kept for longer than others, and waits until those
// have expired.
func testHistoryOutlasts(f *fixture) {
	p := f.past()
	age := p.kept.Retention().MaxAge
	if age > maxBrief {
		f.Fatalf("the history is too long for this test: %v", age)
	}
	p.retain("c", broker.Retention{MaxAge: time.Hour})
	first := p.keep("c", "1")
	keyed := p.keyed("c", "key")
	<-time.After(3 * age)
	p.keep("others", "x") // what is too old may be swept away with a publication
	if again := p.keyed("c", "key"); !again.Repeated || again.Position != keyed.Position {
		f.Fatalf("a key whose message is to be kept for an hour is known for less than %v: %+v", 3*age, again)
	}
	if got := p.rest("c", first, 10); len(got) != 1 {
		f.Fatalf("behind the first of two messages, which are to be kept for an hour, are %d", len(got))
	}
}
