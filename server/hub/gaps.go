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

// byReason returns how many gaps there were of each reason, and in all.
func (c *gapCounts) byReason() (by map[string]uint64, all uint64) {
	by = make(map[string]uint64, len(c))
	for i, reason := range gapReasons {
		n := c[i].Load()
		by[string(reason)] = n
		all += n
	}
	return by, all
}
