package brokertest

import (
	"time"

	"github.com/pregon/pregon/broker"
)

// testHistoryForgotten has the backend lose a channel that a node publishes to, and
// another listens to.
func testHistoryForgotten(f *fixture) {
	p, other := f.past(), f.past()
	r := f.read(f.feed(other.node, "c"))
	first := p.keep("c", "1")
	last := other.keep("c", "2")
	r.hear(said{"c", "1"}, said{"c", "2"})
	f.forget(p.node, "c")
	for _, after := range []broker.Position{first, last} {
		if page := p.read("c", after, 10); page.Complete || len(page.Messages) > 0 {
			f.Fatalf("behind %v, which is lost: %+v", after, page)
		}
	}
	if newest := other.newest("c"); !newest.IsZero() {
		f.Fatalf("the newest position of a channel that is lost is %v", newest)
	}
	next := p.keep("c", "3")
	if next.Compare(last) <= 0 {
		f.Fatalf("after %v, which is lost, comes %v", last, next)
	}
	for _, after := range []broker.Position{first, last} {
		page := other.read("c", after, 10)
		if page.Complete || len(page.Messages) != 1 || page.Messages[0].Position != next || page.Messages[0].Follows(first) {
			f.Fatalf("behind %v, which is lost, with %v published since: %+v", after, next, page)
		}
	}
	for e := r.next(); e.m.Position != next; e = r.next() {
		if e.err == nil {
			f.Fatalf("heard %q at %v", e.m.Data, e.m.Position)
		}
	}
}

// testHistoryAges lets all messages of a channel expire. Then the driver has either
// forgotten the channel, and says so of what comes next, or still knows where it was.
func testHistoryAges(f *fixture) {
	p := f.past()
	p.keep("c", "1")
	last := p.keep("c", "2")
	if f.age != nil {
		f.age(p.node, "c")
	} else {
		<-time.After(3 * p.kept.Retention().MaxAge)
	}
	p.keep("other", "x") // what is too old may be swept away with a publication
	page, newest := p.read("c", last, 10), p.newest("c")
	switch {
	case newest.IsZero() && page.Complete:
		f.Fatalf("behind %v, of which nothing is known any more, the history claims to be complete", last)
	case !newest.IsZero() && (newest != last || !page.Complete):
		f.Fatalf("the newest position was %v and is %v; behind it the history is complete: %v", last, newest, page.Complete)
	}
	next := p.keep("c", "3")
	forgotten := newest.IsZero()
	if next.Compare(last) <= 0 || !forgotten && next.Epoch != last.Epoch {
		f.Fatalf("after %v comes %v, which is known by then: %v", last, next, !forgotten)
	}
	page = p.read("c", last, 10)
	if len(page.Messages) != 1 || page.Complete == forgotten || page.Messages[0].Follows(last) == forgotten {
		f.Fatalf("behind %v, with %v published since: %+v", last, next, page)
	}
}
