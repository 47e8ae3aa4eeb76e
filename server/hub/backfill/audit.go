package backfill

import (
	"slices"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
)

// maxAudit is the longest time between comparisons of all channels with their histories.
const maxAudit = 30 * time.Second

// audit looks at times whether anything is missing at the end of a channel, where no later
// message shows it, and so keeps the histories of idle channels that somebody listens to from
// expiring.
func (f *Filler) audit() {
	for retry.Sleep(f.ctx, retry.Jitter(min(f.history.Retention().MaxAge/2, maxAudit))) {
		var differ []*Channel
		for some := range slices.Chunk(f.carried(), maxNames) {
			found, err := f.compare(some)
			differ = append(differ, found...)
			if err != nil && f.ctx.Err() == nil {
				f.log.Warn("backfill: channels cannot be compared with their histories; trying again", "channels", len(some), "error", err)
				break // nor can the others, most likely
			}
		}
		f.Recheck(broker.LinkLost, differ...)
	}
}

// compare returns the channels that are not where their histories end, or where something is on
// its way, which the fill will see. Where the broker refuses, it finds out which one: one
// channel without permission must not keep the others from being compared.
func (f *Filler) compare(channels []*Channel) (differ []*Channel, err error) {
	newest, err := f.prolong(f.ctx, names(channels)...)
	switch {
	case err == nil:
		for i, p := range newest {
			if !channels[i].isAt(p) {
				differ = append(differ, channels[i])
			}
		}
		return differ, nil
	case retry.ConcernsAll(err):
		return nil, err
	case len(channels) == 1:
		return nil, nil // a client that reads it is told
	}
	half := len(channels) / 2
	differ, err = f.compare(channels[:half])
	if err != nil {
		return differ, err
	}
	rest, err := f.compare(channels[half:])
	return append(differ, rest...), err
}
