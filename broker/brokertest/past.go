package brokertest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pregon/pregon/broker"
)

// A past is a node's history, for tests of it.
type past struct {
	*fixture
	node broker.Broker
	kept broker.Historian
}

// past opens one more node, which must keep a history.
func (f *fixture) past() past {
	f.Helper()
	node := f.node()
	h, ok := broker.HistoryOf(node)
	if !ok {
		f.Fatalf("the node keeps no history")
	}
	return past{f, node, h}
}

// keep publishes text and returns where it is.
func (p past) keep(channel, text string) broker.Position {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	receipt, err := p.node.Publish(ctx, broker.Message{Channel: channel, Data: []byte(text)})
	if err != nil || receipt.Position.IsZero() || receipt.Repeated {
		p.Fatalf("publishing with history: %+v, %v", receipt, err)
	}
	return receipt.Position
}

func (p past) read(channel string, after broker.Position, limit int) broker.Page {
	p.Helper()
	return p.query(channel, broker.Query{After: after, Limit: limit})
}

func (p past) query(channel string, q broker.Query) broker.Page {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	page, err := p.kept.History(ctx, channel, q)
	if err != nil {
		p.Fatalf("History: %v", err)
	}
	if len(page.Messages) > q.Limit {
		p.Fatalf("History returned %d messages, with a limit of %d", len(page.Messages), q.Limit)
	}
	return page
}

// rest reads from a position to the end, limit at a time.
func (p past) rest(channel string, after broker.Position, limit int) []string {
	p.Helper()
	return textsOf(broker.Page{Messages: p.behind(channel, after, limit)})
}

// behind is rest with all of the messages.
func (p past) behind(channel string, after broker.Position, limit int) (all []broker.Message) {
	p.Helper()
	for {
		page := p.read(channel, after, limit)
		if !page.Complete {
			p.Fatalf("behind %v, which is kept, the history is not complete", after)
		}
		for _, m := range page.Messages {
			if !m.Follows(after) {
				p.Fatalf("behind %v comes %v, which says that it follows %v", after, m.Position, m.Prev)
			}
			after = m.Position
		}
		all = append(all, page.Messages...)
		if !page.More {
			return all
		}
		if len(page.Messages) == 0 {
			p.Fatalf("a page without messages says that there are more")
		}
	}
}

func testHistoryOrder(f *fixture) {
	one, two := f.past(), f.past()
	r := f.read(f.feed(one.node, "c"))
	var at []broker.Position
	for i := range 20 {
		from := one
		if i%3 == 0 {
			from = two
		}
		at = append(at, from.keep("c", fmt.Sprint(i)))
	}
	var heard []broker.Message
	for i, want := range at {
		m := r.message()
		if m.Position != want || string(m.Data) != fmt.Sprint(i) || m.Key != "" {
			f.Fatalf("heard %q at %v, published %d at %v", m.Data, m.Position, i, want)
		}
		heard = append(heard, m)
	}
	f.chained("heard", heard)
	page := two.read("c", broker.Position{}, 100)
	if len(page.Messages) != len(at) || !page.Complete || page.More {
		f.Fatalf("%d messages are kept of %d; complete %v, more %v", len(page.Messages), len(at), page.Complete, page.More)
	}
	for i, m := range page.Messages {
		if m.Position != at[i] || string(m.Data) != fmt.Sprint(i) || m.Channel != "c" {
			f.Fatalf("kept is %q at %v, published %d at %v", m.Data, m.Position, i, at[i])
		}
	}
	f.chained("kept", page.Messages)
	for i, m := range two.read("c", at[9], 5).Messages {
		if m.Prev != at[9+i] {
			f.Fatalf("read from %v, the message at %v says that it follows %v", at[9], m.Position, m.Prev)
		}
	}
}

// chained checks that each of messages, which are all of an epoch, says which one it
// follows, and is behind that.
func (f *fixture) chained(how string, messages []broker.Message) {
	f.Helper()
	var last broker.Position
	for _, m := range messages {
		if m.Prev != last {
			f.Fatalf("the message %s at %v says that it follows %v, and follows %v", how, m.Position, m.Prev, last)
		}
		if !last.IsZero() && !last.Before(m.Position) {
			f.Fatalf("the message %s at %v comes after %v", how, m.Position, last)
		}
		last = m.Position
	}
}

func testHistoryResume(f *fixture) {
	p := f.past()
	const n = 40
	var at []broker.Position
	var texts []string
	for i := range n {
		texts = append(texts, fmt.Sprint(i))
		at = append(at, p.keep("c", texts[i]))
		p.keep("other", "x")
	}
	for i := range at {
		for _, limit := range []int{1, 7, n} {
			if got := p.rest("c", at[i], limit); !slices.Equal(got, texts[i+1:]) {
				f.Fatalf("behind message %d of %d, %d at a time: %s", i, n, limit, brief(got))
			}
		}
	}
}

func testHistoryWindow(f *fixture) {
	p := f.past()
	keeps := p.kept.Retention().MaxMessages
	if keeps > 10_000 {
		f.Fatalf("the history is too large for this test: %d messages", keeps)
	}
	first := p.keep("c", "first")
	var batch []broker.Message
	for i := range 3*keeps + 300 {
		batch = append(batch, broker.Message{Channel: "c", Data: []byte(fmt.Sprint(i))})
	}
	for chunk := range slices.Chunk(batch, 500) {
		for _, result := range broker.PublishAll(f.Context(), p.node, chunk) {
			if result.Err != nil {
				f.Fatalf("publishing: %v", result.Err)
			}
		}
	}
	var texts []string
	page := p.read("c", first, 100)
	if page.Complete && (len(page.Messages) == 0 || !page.Messages[0].Follows(first)) {
		f.Fatalf("behind %v, which was followed by %d messages, the history claims to be complete: %d messages", first, len(batch), len(page.Messages))
	}
	if !page.Complete && len(page.Messages) == 0 {
		f.Fatalf("behind a message that is gone there is nothing")
	}
	for after := page; ; {
		for _, m := range after.Messages {
			texts = append(texts, string(m.Data))
		}
		if !after.More {
			break
		}
		after = p.read("c", after.Messages[len(after.Messages)-1].Position, 500)
	}
	if len(texts) < keeps || texts[len(texts)-1] != string(batch[len(batch)-1].Data) {
		f.Fatalf("%d messages are kept, at least %d are promised", len(texts), keeps)
	}
}

func testHistoryUnknown(f *fixture) {
	p := f.past()
	p.keep("c", "1")
	last := p.keep("c", "2")
	for _, after := range []broker.Position{
		{Epoch: last.Epoch, Seq: last.Seq + 1}, {Epoch: last.Epoch, Seq: 1 << 62}, {Epoch: last.Epoch + 1, Seq: 0},
	} {
		if page := p.read("c", after, 10); page.Complete || page.More || len(page.Messages) > 0 {
			f.Fatalf("behind a position of the future: %+v", page)
		}
	}
	for _, after := range []broker.Position{{Epoch: 1, Seq: 5}, {Epoch: last.Epoch - 1, Seq: 1}, {Epoch: 0, Seq: 1}} {
		page := p.read("c", after, 1)
		if page.Complete || !page.More || len(page.Messages) != 1 || string(page.Messages[0].Data) != "1" {
			f.Fatalf("behind a position of another epoch: %+v", page)
		}
	}
	if page := p.read("empty", last, 10); page.Complete || page.More || len(page.Messages) > 0 {
		f.Fatalf("in a channel without messages: %+v", page)
	}
	if page := p.read("empty", broker.Position{}, 10); !page.Complete || page.More || len(page.Messages) > 0 {
		f.Fatalf("the newest of a channel without messages: %+v", page)
	}
}

func testHistoryNewest(f *fixture) {
	p := f.past()
	var channels []string
	var want []broker.Position
	for i := range 1500 {
		channels = append(channels, fmt.Sprint("c", i))
		want = append(want, broker.Position{})
		if i%100 == 0 {
			p.keep(channels[i], "1")
			want[i] = p.keep(channels[i], "2")
		}
	}
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	got, err := p.kept.Newest(ctx, channels...)
	if err != nil || !slices.Equal(got, want) {
		f.Fatalf("the newest positions of %d channels are not what was published: %v", len(channels), err)
	}
	for i := range 9 {
		p.keep("c0", fmt.Sprint(i))
	}
	page := p.read("c0", broker.Position{}, 3)
	texts := textsOf(page)
	if !slices.Equal(texts, []string{"6", "7", "8"}) || !page.Complete {
		f.Fatalf("the newest three are %q, complete %v", texts, page.Complete)
	}
}

func testHistoryPayloads(f *fixture) {
	p := f.past()
	sent := []broker.Message{
		{Data: []byte("¡Hola!")}, {Data: nil}, {Data: []byte("\x00\xff\r\n"), Binary: true}, {Data: []byte("text"), Binary: true},
		{Data: []byte(strings.Repeat("ñ", 1<<19))}, {Data: []byte("\xFFpg1p")}, {Data: []byte("end")},
	}
	before := p.keep("c", "before")
	for _, m := range sent {
		m.Channel = "c"
		if _, err := p.node.Publish(f.Context(), m); err != nil {
			f.Fatalf("publishing: %v", err)
		}
	}
	for i, after := 0, before; i < len(sent); {
		page := p.read("c", after, 100)
		if len(page.Messages) == 0 || !page.Complete {
			f.Fatalf("after %d of %d messages the history ends", i, len(sent))
		}
		for _, m := range page.Messages {
			if want := sent[i].Normalized(); string(m.Data) != string(want.Data) || m.Binary != want.Binary {
				f.Fatalf("message %d came back as %.40q, binary %v; want %.40q, %v", i, m.Data, m.Binary, want.Data, want.Binary)
			}
			after = m.Position
			i++
		}
	}
}

// What was accepted while the link was away is in the history, behind what was
// heard before, and what was heard is where it says.
func testHistoryFill(f *fixture) {
	p, other := f.past(), f.past()
	channels, names := []string{"left", "right"}, []string{"left-0", "right-0"}
	r := f.read(f.feed(p.node, channels...))
	before := map[string]broker.Position{}
	for _, c := range channels {
		before[c] = other.keep(c, "before")
		r.message()
	}
	streams := f.stream(other.node, channels, names)
	f.cut(p.node)
	heard := r.untilMended(channels)
	unsure, ends := streams.stop(f)
	heard = r.untilEnds(heard, ends)
	kept := map[said]broker.Position{}
	for i, c := range channels {
		t := newTally()
		t.unsure = unsure
		for _, m := range p.behind(c, before[c], 100) {
			kept[said{c, string(m.Data)}] = m.Position
			if err := t.message(m); err != nil {
				f.Fatalf("in the history: %v", err)
			}
		}
		if _, ok := kept[ends[i]]; !ok {
			f.Fatalf("the newest message of %q is not in the history", c)
		}
	}
	for _, e := range heard {
		if gap, ok := e.err.(*broker.GapError); ok && gap.Unfillable {
			f.Fatalf("a gap is said to be unfillable, and what is missing is in the history")
		}
		if here := kept[said{e.m.Channel, string(e.m.Data)}]; e.err == nil && here != e.m.Position {
			f.Fatalf("heard %q at %v, which the history has at %v", e.m.Data, e.m.Position, here)
		}
	}
}
