package hub

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// outsetMessages is the most messages that a client gets which began before the
// first.
const outsetMessages = 1000

// outset says, once the broker has confirmed the channels, where a session that is
// not sent anything yet began in its first channel. To be called before messages
// can reach it: what is delivered from now on, and what was delivered before the
// subscription, do not count.
func (h *Hub) outset(sub transport.Subscriber, topics []*topic) func() broker.Position {
	if h.history == nil || sub.Starts != nil {
		return func() broker.Position { return broker.Position{} }
	}
	track := topics[0].track
	at, known := track.reached()
	return func() broker.Position {
		if !known {
			at = track.beginning()
		}
		if at.IsZero() {
			at = transport.Outset
		}
		return at
	}
}

// Began implements transport.Session.
func (s *session) Began() broker.Position { return s.began }

// resumeOutset sends c all that the channel has, which had no message when the
// client began. It is not recovered: nothing proves that no message has come and
// gone since, and the history with it.
func (h *Hub) resumeOutset(c *catchup) {
	page, err := h.newestPage(c, outsetMessages)
	var newest broker.Position
	if n := len(page.Messages); n > 0 {
		newest = page.Messages[n-1].Position
	}
	switch {
	case !h.answer(c, newest, false):
	case err != nil:
		h.caughtUp(c, broker.Position{})
	default:
		h.goOn(c, page)
	}
}
