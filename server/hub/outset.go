package hub

import (
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// outsetMessages is the most messages for which a client that began before the first
// is continued.
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
			at = transport.Outset(time.Now())
		}
		return at
	}
}

// Began implements transport.Session.
func (s *session) Began() broker.Position { return s.began }

// resumeOutset continues c from before the first message of a channel that had none
// at a time. That is possible where the first message of all is still there, and
// none before it can have come and gone since: that takes a retention's time.
func (h *Hub) resumeOutset(c *catchup, at time.Time) {
	page, err := h.newestPage(c.channel(), outsetMessages)
	recovered := err == nil && h.history != nil && begins(page) && time.Since(at) < h.history.Retention().Age
	var newest broker.Position
	if n := len(page.Messages); n > 0 {
		newest = page.Messages[n-1].Position
	}
	switch {
	case !h.answer(c, newest, recovered):
	case recovered:
		h.goOn(c, page)
	default:
		h.caughtUp(c, broker.Position{})
	}
}
