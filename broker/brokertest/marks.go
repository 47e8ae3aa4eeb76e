package brokertest

import (
	"context"
	"fmt"

	"github.com/pregon/pregon/broker"
)

// testHistoryMarks marks many channels, a few of which have messages.
func testHistoryMarks(f *fixture) {
	p, other := f.past(), f.past()
	var channels []string
	want := make([]broker.Position, 300)
	for i := range want {
		channels = append(channels, fmt.Sprint("c", i))
		if i%10 == 0 {
			p.keep(channels[i], "1")
			want[i] = p.keep(channels[i], "2")
		}
	}
	other.marksAre("before any was made", channels, make([]broker.Position, len(want)))
	p.mark(channels...)
	other.marksAre("of all channels", channels, want)
	third := p.keep("c0", "3")
	other.marksAre("after a message", channels, want)
	other.mark("c0")
	other.mark("c0", "c0")
	want[0] = third
	p.marksAre("after a second", channels, want)
	if page := p.read("c0", third, 10); !page.Complete || len(page.Messages) > 0 || p.newest("c0") != third {
		f.Fatalf("behind a message that was marked: %+v", page)
	}
	if c, ok := p.node.(broker.Clearer); ok {
		if err := c.Clear(f.Context(), "c0"); err != nil {
			f.Fatalf("Clear: %v", err)
		}
		p.keep("c0", "4")
		want[0] = broker.Position{}
		other.marksAre("after the history was cleared", channels, want)
	}
	f.closes("Broker.Close", p.node.Close)
	if err := p.node.(broker.Marker).Mark(f.Context(), "c0"); err == nil {
		f.Fatalf("a closed Broker has made a mark")
	}
}

func (p past) mark(channels ...string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	if err := p.node.(broker.Marker).Mark(ctx, channels...); err != nil {
		p.Fatalf("Mark: %v", err)
	}
}

func (p past) marksAre(when string, channels []string, want []broker.Position) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	got, err := p.node.(broker.Marker).Marks(ctx, channels...)
	if err != nil || len(got) != len(want) {
		p.Fatalf("Marks of %d channels: %d of them, %v", len(want), len(got), err)
	}
	for i := range want {
		if got[i] != want[i] {
			p.Fatalf("%s the mark of %q is %v, want %v", when, channels[i], got[i], want[i])
		}
	}
}
