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
		case errors.As(err, &gap):
			h.log.Warn("hub: messages may be missing", "channels", len(gap.Channels), "reason", gap.Reason)
			h.gap(gap)
		default:
			return err
		}
	}
}

// dispatch hands m to the workers that have subscribers for it.
func (h *Hub) dispatch(m broker.Message) {
	groups, listen := h.audience(m.Channel)
	if listen != nil {
		listen(m)
		return
	}
	h.counts.heard.Add(1)
	fanOut(groups, message, func(e transport.Encoding) []byte { return e.Message(m) })
}

// gap tells the subscribers of each channel concerned.
func (h *Hub) gap(gap *broker.GapError) {
	h.counts.gaps.Add(uint64(len(gap.Channels)))
	for _, channel := range gap.Channels {
		groups, _ := h.audience(channel)
		told := transport.Gap{Channel: channel, Reason: gap.Reason}
		fanOut(groups, gapped, func(e transport.Encoding) []byte { return e.Gap(told) })
	}
}

// audience returns who is to hear a channel. The groups are not to be modified.
func (h *Hub) audience(channel string) ([]*group, func(broker.Message)) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	t, ok := h.topics[channel]
	if !ok {
		return nil, nil
	}
	t.notify()
	return t.groups, t.listen
}

// fanOut posts one entry a group and encodes once an encoding: the groups of one
// encoding stand together.
func fanOut(groups []*group, k kind, encode func(transport.Encoding) []byte) {
	var frame []byte
	for i, g := range groups {
		if i == 0 || g.encoding != groups[i-1].encoding {
			frame = encode(g.encoding)
		}
		g.worker.push(entry{kind: k, group: g, frame: frame})
	}
}
