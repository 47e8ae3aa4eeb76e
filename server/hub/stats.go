package hub

import (
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// counts are what a hub has done since it began.
type counts struct {
	heard        atomic.Uint64
	gaps         atomic.Uint64
	caughtUp     atomic.Uint64
	disconnected atomic.Uint64
	dropped      atomic.Uint64
}

// Stats are a hub's figures at one moment.
type Stats struct {
	Sessions int // now
	Channels int // that the broker's feed carries or is asked to carry, the hub's own included and buses not

	// Since the hub began:
	Heard        uint64 // messages from the broker
	Outside      uint64 // of these, messages beside a history that are not in it
	Rejected     uint64 // messages that claim a position which they cannot prove, and are ignored
	Gaps         uint64 // places on channels where messages may be missing, as clients are told
	Filled       uint64 // messages that were read from the history because the feed had lost them
	CaughtUp     uint64 // times that a client which did not read fast enough was fed from the history
	Disconnected uint64 // clients that did not read fast enough
	Dropped      uint64 // messages to single clients that did not read fast enough
}

// Stats returns the hub's figures.
func (h *Hub) Stats() Stats {
	stats := Stats{
		Sessions: h.Sessions(), Channels: h.topics.size(),
		Heard: h.counts.heard.Load(), Rejected: h.rejected(), Gaps: h.counts.gaps.Load(),
		CaughtUp:     h.counts.caughtUp.Load(),
		Disconnected: h.counts.disconnected.Load(), Dropped: h.counts.dropped.Load(),
	}
	if h.filler != nil {
		stats.Outside, stats.Filled = h.filler.Outside(), h.filler.Filled()
	}
	return stats
}

func (h *Hub) rejected() uint64 {
	if v, ok := h.broker.(broker.Verifier); ok {
		return v.Rejected()
	}
	return 0
}

// Sessions returns how many sessions there are.
func (h *Hub) Sessions() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.sessions
}

// Subscribers returns how many sessions a channel has, those included that wait for the
// broker's confirmation.
func (h *Hub) Subscribers(channel string) int { return h.topics.subscribers(channel) }
