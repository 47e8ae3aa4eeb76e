package presence

import (
	"context"
	"time"
)

// tellEvery is for how long changes are joined before observers are told.
const tellEvery = 250 * time.Millisecond

// run reads what comes, and does what is due, until ctx ends.
func (e *Engine) run(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-e.inbox.arrived:
			e.read()
		case <-tick.C:
			e.turn()
		case <-ctx.Done():
			return
		}
	}
}

// read takes in what has come.
func (e *Engine) read() {
	messages, lost := e.inbox.take()
	now := time.Now()
	e.hear(messages, now)
	if lost {
		e.mu.Lock()
		e.lose()
		e.mu.Unlock()
	}
}

// turn does what is due: members leave, nodes are given up, observers are told.
func (e *Engine) turn() {
	now := time.Now()
	e.mu.Lock()
	e.checkLink(now)
	e.expireMissed(now)
	e.expire(now)
	news := e.news(now)
	rejected := e.counts.take(now)
	e.mu.Unlock()
	for _, n := range news {
		n.tell(n.event)
	}
	if rejected > 0 {
		e.log.Warn("presence: messages came that no node of this version has sent", "messages", rejected)
	}
}

// counts are what an Engine has done.
type counts struct {
	rejected, logged uint64
	loggedAt         time.Time
}

// take returns how many messages were rejected since that was last logged, 0 where the log is not to
// have it now.
func (c *counts) take(now time.Time) uint64 {
	n := c.rejected - c.logged
	if n == 0 || now.Sub(c.loggedAt) < time.Minute {
		return 0
	}
	c.logged, c.loggedAt = c.rejected, now
	return n
}
