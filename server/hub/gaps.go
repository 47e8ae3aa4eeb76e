package hub

import (
	"slices"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// gapReasons are the reasons that are counted apart. Those of a driver's own are counted as
// otherGap, of which there could be any number.
var gapReasons = [...]broker.GapReason{
	broker.LinkLost, broker.Overrun, broker.Denied, transport.NotRetained, transport.NewEpoch, transport.Missing, otherGap,
}

const otherGap broker.GapReason = "other"

// gapCounts count gaps, each at the place of its reason in gapReasons.
type gapCounts [len(gapReasons)]atomic.Uint64

func (c *gapCounts) add(reason broker.GapReason) {
	i := slices.Index(gapReasons[:], reason)
	if i < 0 {
		i = slices.Index(gapReasons[:], otherGap)
	}
	c[i].Add(1)
}

func (c *gapCounts) sum() (all uint64) {
	for i := range c {
		all += c[i].Load()
	}
	return all
}

// Gaps returns how many places there were on channels where messages may be missing, by the reason that
// clients are told. Reasons of a driver's own are "other".
func (h *Hub) Gaps() map[string]uint64 {
	by := make(map[string]uint64, len(gapReasons))
	for i, reason := range gapReasons {
		by[string(reason)] = h.counts.gaps[i].Load()
	}
	return by
}
