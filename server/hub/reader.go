package hub

import (
	"errors"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// read starts the reader of feed. The function that it returns closes the feed
// and waits for the reader.
func (h *Hub) read(feed broker.Feed) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := h.readAll(feed)
		select {
		case h.lost <- err:
		case <-h.ctx.Done():
		}
	}()
	return func() {
		if err := feed.Close(); err != nil {
			h.log.Warn("hub: close feed", "error", err)
		}
		<-done
	}
}

// readAll dispatches what comes until the feed ends, and returns why it did.
func (h *Hub) readAll(feed broker.Feed) error {
	for {
		m, err := feed.Next()
		var gap *broker.GapError
		switch {
		case err == nil:
			h.dispatch(m)
		case errors.As(err, &gap) && gap.Reason == broker.Denied:
			h.log.Error("hub: the broker does not allow channels any more", "channels", len(gap.Channels))
			h.denied(gap.Channels)
		case errors.As(err, &gap):
			h.log.Warn("hub: messages may be missing", "channels", len(gap.Channels), "reason", gap.Reason, "history", h.history != nil)
			h.gap(gap)
		default:
			return err
		}
	}
}

// dispatch hands m on in its turn.
func (h *Hub) dispatch(m broker.Message) {
	t := h.known(m.Channel)
	switch {
	case t == nil: // nobody wants it any more
	case t.listen != nil:
		t.listen(m)
	case t.track == nil:
		h.counts.heard.Add(1)
		h.deliver(t, m)
	default:
		h.counts.heard.Add(1)
		h.follow(t, m)
	}
}

// follow delivers m where nothing is missing before it. Otherwise, and while that
// is read from the history, m waits.
func (h *Hub) follow(t *topic, m broker.Message) {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	if m.Position.IsZero() {
		h.outside(t)
	}
	if k.filling {
		k.wait(m)
		return
	}
	switch k.step(m.Position) {
	case follows:
		k.move(m.Position)
		h.deliver(t, m)
	case jumps:
		k.filling = true
		k.wait(m)
		h.fillAll([]*topic{t}, transport.Missing)
	}
}

// deliver hands m to the workers that have subscribers for it.
func (h *Hub) deliver(t *topic, m broker.Message) {
	news := t.track == nil || !m.Position.IsZero() // what is in no history cannot be read by watchers
	fanOut(h.audience(t, news), message, m.Position, func(e transport.Encoding) []byte { return e.Message(m) })
}

// gap has what may be missing read from the history. Without one it tells the
// subscribers of each channel concerned.
func (h *Hub) gap(gap *broker.GapError) {
	topics := make([]*topic, 0, len(gap.Channels))
	for _, channel := range gap.Channels {
		t := h.known(channel)
		switch {
		case t == nil:
		case t.track != nil:
			topics = append(topics, t)
			h.missedOutside(t, gap.Reason)
		default:
			h.tellGap(t, transport.Gap{Channel: channel, Reason: gap.Reason})
		}
	}
	h.fillAll(mark(topics), gap.Reason)
}

// tellGap tells the subscribers of t.
func (h *Hub) tellGap(t *topic, gap transport.Gap) {
	h.counts.gaps.Add(1)
	fanOut(h.audience(t, true), gapped, gap.To, func(e transport.Encoding) []byte { return e.Gap(gap) })
}

// known returns the topic of that name, nil for none.
func (h *Hub) known(channel string) *topic {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.topics[channel]
}

// audience returns who is to hear t, and tells its watchers where there are news for
// them. The groups are not to be modified.
func (h *Hub) audience(t *topic, news bool) []*group {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if news {
		t.notify()
	}
	return t.groups
}

// fanOut posts one entry a group and encodes once an encoding: the groups of one
// encoding stand together.
func fanOut(groups []*group, k kind, p broker.Position, encode func(transport.Encoding) []byte) {
	var bytes []byte
	for i, g := range groups {
		if i == 0 || g.encoding != groups[i-1].encoding {
			bytes = encode(g.encoding)
		}
		g.worker.push(entry{kind: k, group: g, frame: frame{bytes: bytes, position: p}})
	}
}
