package hub

import (
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
)

// A Delivery is what one worker did with one message: see [Options].Delivered.
type Delivery struct {
	Channel     string
	Traceparent string    // of the message
	Received    time.Time // when its turn came: it had come from the feed, and what was missing before it was filled in
	First, Last time.Time // when the first write of it began and the last one ended; by this node's clock, as Received
	Subscribers int       // that it was handed to; those that are fed from the history at their own pace are not counted
}

// A delivery is a Delivery that is going on. Its worker alone touches it once it was pushed.
type delivery struct {
	Delivery
	groups int // that have not been sent it
}

// deliveries are those of one message, by worker; nil where nobody is to be told of them.
type deliveries map[*worker]*delivery

// deliveriesOf returns those of m, which is about to be handed to groups.
func (t *topic) deliveriesOf(m broker.Message, groups []*group) deliveries {
	if m.Traceparent == "" || !t.directory.traced || len(groups) == 0 {
		return nil
	}
	now, all := time.Now(), deliveries{}
	for _, g := range groups {
		if all[g.worker] == nil {
			all[g.worker] = &delivery{Delivery: Delivery{Channel: t.name, Traceparent: m.Traceparent, Received: now}}
		}
		all[g.worker].groups++
	}
	return all
}

// isTraced reports whether somebody is to be told when f was delivered.
func (f frame) isTraced() bool { return f.delivery != nil }

// sendTraced is send where some of frames may be traced. Only where one is it looks at the clock.
func (w *worker) sendTraced(g *group, joined []byte, frames []frame) {
	if !slices.ContainsFunc(frames, frame.isTraced) {
		w.send(g, joined, frames)
		return
	}
	subscribers, began := g.hearing(), time.Now()
	w.send(g, joined, frames)
	ended := time.Now()
	for _, f := range frames {
		if f.isTraced() {
			w.delivered(f.delivery, subscribers, began, ended)
		}
	}
}

// hearing returns how many of g are sent what is live: its members, and those that have just come to be level.
func (g *group) hearing() int {
	n := len(g.members)
	for _, c := range g.behind {
		if c.level {
			n++
		}
	}
	return n
}

// delivered notes that one more group was sent the message of d, and tells of it behind the last.
func (w *worker) delivered(d *delivery, subscribers int, began, ended time.Time) {
	if d.First.IsZero() {
		d.First = began
	}
	d.Last = ended
	d.Subscribers += subscribers
	if d.groups--; d.groups == 0 {
		w.options.Delivered(d.Delivery)
	}
}
