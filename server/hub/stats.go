package hub

import (
	"maps"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
)

// counts are what a hub has done since it began.
type counts struct {
	heard        atomic.Uint64
	gaps         gapCounts
	caughtUp     atomic.Uint64
	disconnected atomic.Uint64
	dropped      atomic.Uint64

	replayed, replayedBytes atomic.Uint64 // messages sent to single clients from the history
	recovered, notRecovered atomic.Uint64 // clients that wanted to be continued, as they were told
}

// resumed counts a client that wanted to be continued.
func (c *counts) resumed(recovered bool) {
	if recovered {
		c.recovered.Add(1)
	} else {
		c.notRecovered.Add(1)
	}
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
	Fills        uint64 // times that the history of a channel was read because the feed may have lost messages
	Filled       uint64 // messages that were read from the history because the feed had lost them
	CaughtUp     uint64 // times that a client which did not read fast enough was fed from the history
	Disconnected uint64 // clients that did not read fast enough
	Dropped      uint64 // messages to single clients that did not read fast enough

	Delivered      uint64 // messages to single clients that were handed to their connections
	DeliveredBytes uint64 // of these, as they were encoded

	Recovered, NotRecovered uint64 // times that a client asked to be continued in a channel, by what it was told
}

// Stats returns the hub's figures.
func (h *Hub) Stats() Stats {
	stats := Stats{
		Sessions: h.Sessions(), Channels: h.topics.size(),
		Heard: h.counts.heard.Load(), Rejected: h.rejected(), Gaps: h.counts.gaps.sum(),
		CaughtUp:     h.counts.caughtUp.Load(),
		Disconnected: h.counts.disconnected.Load(), Dropped: h.counts.dropped.Load(),
	}
	stats.Delivered, stats.DeliveredBytes = h.delivered()
	stats.Recovered, stats.NotRecovered = h.counts.recovered.Load(), h.counts.notRecovered.Load()
	if h.filler != nil {
		stats.Outside, stats.Fills, stats.Filled = h.filler.Outside(), h.filler.Fills(), h.filler.Filled()
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

// SessionsOver returns how many sessions there are of each transport. Those without any may be among
// them.
func (h *Hub) SessionsOver() map[string]int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return maps.Clone(h.over)
}

// Subscribers returns how many sessions a channel has, those included that wait for the
// broker's confirmation.
func (h *Hub) Subscribers(channel string) int { return h.topics.subscribers(channel) }
