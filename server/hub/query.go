package hub

import (
	"context"

	"github.com/pregon/pregon/broker"
)

// readPatiently reads one page for c.
func (h *Hub) readPatiently(c *catchup, q broker.Query) (page broker.Page, err error) {
	err = h.patiently(c, func() (err error) {
		if page, err = h.query(c.channel(), q); err == nil {
			err = h.markOvertaken(c, page)
		}
		return err
	})
	return page, err
}

// query reads one page of a channel's history, once.
func (h *Hub) query(channel string, q broker.Query) (broker.Page, error) {
	ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
	defer cancel()
	return h.history.History(ctx, channel, q)
}
