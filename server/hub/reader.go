package hub

import (
	"errors"
	"log/slog"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// A reader dispatches what the feed brings.
type reader struct {
	topics *directory
	filler *backfill.Filler // nil where there is no history
	counts *counts
	log    *slog.Logger
}

// readAll dispatches what comes until the feed ends, and returns why it did.
func (r *reader) readAll(feed broker.Feed) error {
	for {
		m, err := feed.Next()
		var gap *broker.GapError
		switch {
		case err == nil:
			r.dispatch(m)
		case errors.As(err, &gap) && gap.Reason == broker.Denied:
			r.log.Error("hub: the broker does not allow channels any more", "channels", len(gap.Channels))
			r.denied(gap.Channels)
		case errors.As(err, &gap) && gap.Reason == broker.Cleared:
			r.log.Info("hub: histories were cleared", "channels", len(gap.Channels))
			r.gap(&broker.GapError{Channels: gap.Channels, Reason: transport.NotRetained}) // in the words of clients
		case errors.As(err, &gap):
			r.log.Warn("hub: messages may be missing", "channels", len(gap.Channels), "reason", gap.Reason, "history", r.filler != nil)
			r.gap(gap)
		default:
			return err
		}
	}
}

// dispatch hands m on: straight to the subscribers, or in its place behind what is missing.
func (r *reader) dispatch(m broker.Message) {
	t := r.topics.known(m.Channel)
	switch {
	case t == nil: // nobody wants it any more
	case t.listen != nil:
		t.listen(m)
	case t.track == nil:
		r.counts.heard.Add(1)
		t.Deliver(m)
	default:
		r.counts.heard.Add(1)
		t.track.Hear(m)
	}
}

// gap has what may be missing read from the history. Without one it tells the
// subscribers of each channel concerned.
func (r *reader) gap(gap *broker.GapError) {
	var lost []*backfill.Channel
	for _, channel := range gap.Channels {
		t := r.topics.known(channel)
		switch {
		case t == nil:
		case t.lost != nil:
			t.lost()
		case t.track != nil:
			lost = append(lost, t.track)
		default:
			t.Gap(transport.Gap{Channel: channel, Reason: gap.Reason})
		}
	}
	switch {
	case len(lost) == 0:
	case gap.Unfillable:
		r.filler.LostForGood(gap.Reason, lost...)
	default:
		r.filler.Lost(gap.Reason, lost...)
	}
}

// Deliver hands m to the workers that have subscribers for it. Like Gap it is called by
// one goroutine at a time: it makes a topic a [backfill.Sink].
func (t *topic) Deliver(m broker.Message) {
	if t.track == nil || !m.Position.IsZero() { // what is in no history cannot be read by watchers
		t.notify()
	}
	now := time.Now() // read once, for both
	t.meter.add(now)
	a := t.audience()
	a.fanOut(message, frame{position: m.Position, received: t.directory.clock.at(now)}, t.deliveriesOf(m, a.groups), func(e transport.Encoding) []byte { return e.Message(m) })
}

// Gap tells the subscribers of t.
func (t *topic) Gap(gap transport.Gap) {
	t.directory.counts.gaps.add(gap.Reason)
	t.notify()
	t.audience().fanOut(gapped, frame{position: gap.To}, nil, func(e transport.Encoding) []byte { return e.Gap(gap) })
}

// known returns the topic of that name, nil for none. It takes no lock.
func (d *directory) known(channel string) *topic {
	t, ok := d.names.Load(channel)
	if !ok {
		return nil
	}
	return t.(*topic)
}
