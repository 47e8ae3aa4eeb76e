package brokertest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
)

// testHistoryClear clears a channel that has messages, keys and readers on two nodes,
// and others that have nothing.
func testHistoryClear(f *fixture) {
	p, other := f.past(), f.past()
	feeds := []*reader{f.read(f.feed(p.node, "c", "kept")), f.read(f.feed(other.node, "c", "kept"))}
	stays := p.keep("kept", "1")
	p.keep("c", "1")
	keyed := p.keyed("c", "key").Position
	last := other.keep("c", "3")

	p.clear("never")
	p.clear("c")
	for i, node := range []past{p, other} {
		if page := node.read("c", broker.Position{}, 10); len(page.Messages) > 0 {
			f.Fatalf("node %d has %d messages of a history that was cleared", i, len(page.Messages))
		}
		for _, after := range []broker.Position{keyed, last} {
			if page := node.read("c", after, 10); page.Complete || page.More || len(page.Messages) > 0 {
				f.Fatalf("behind %v, which was cleared: %+v", after, page)
			}
		}
		if newest := node.newest("c"); !newest.IsZero() && newest.Epoch <= last.Epoch {
			f.Fatalf("the newest position of a history that was cleared is %v, was %v", newest, last)
		}
	}
	p.clear("c")

	again := other.keyed("c", "key")
	if again.Repeated || again.Position.Epoch <= last.Epoch {
		f.Fatalf("after the history up to %v was cleared, a key of it is published as %+v", last, again)
	}
	for _, after := range []broker.Position{keyed, last} {
		if page := p.read("c", after, 10); page.Complete || len(page.Messages) != 1 {
			f.Fatalf("behind %v, which was cleared: %+v", after, page)
		}
	}
	next := p.keep("c", "5")
	if got := p.rest("c", again.Position, 10); len(got) != 1 {
		f.Fatalf("after %v, the first since the history was cleared, comes %v; behind it are %d", again.Position, next, len(got))
	}
	if page := p.read("kept", stays, 10); !page.Complete || p.newest("kept") != stays {
		f.Fatalf("clearing one channel has changed another: %+v", page)
	}
	for _, r := range feeds {
		r.hearThrough("c", next)
	}
	ended, end := context.WithCancel(f.Context())
	end()
	if err := p.node.(broker.Clearer).Clear(ended, "c"); err == nil {
		f.Fatalf("Clear with an ended context was accepted")
	}
	f.closes("Broker.Close", p.node.Close)
	if err := p.node.(broker.Clearer).Clear(f.Context(), "c"); !errors.Is(err, broker.ErrClosed) {
		f.Fatalf("Clear of a closed Broker: %v; want ErrClosed", err)
	}
}

// clear clears the history of a channel.
func (p past) clear(channel string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	if err := p.node.(broker.Clearer).Clear(ctx, channel); err != nil {
		p.Fatalf("clearing the history of %q: %v", channel, err)
	}
}

// hearThrough reads up to the message at last: the subscription of its channel has to
// outlive that the history was cleared. A gap has to name that channel only.
func (r *reader) hearThrough(channel string, last broker.Position) {
	r.f.Helper()
	for began := time.Now(); ; {
		e := r.next()
		if e.err != nil {
			g, err := asGap(e.err)
			if err == nil && (len(g.Channels) != 1 || g.Channels[0] != channel) {
				err = fmt.Errorf("a gap names %s", brief(g.Channels))
			}
			if err != nil {
				r.f.Fatalf("where the history of %q was cleared: %v", channel, err)
			}
		}
		if e.err == nil && e.m.Position == last {
			return
		}
		if time.Since(began) > guard {
			r.f.Fatalf("the message at %v was not heard within %v", last, guard)
		}
	}
}
