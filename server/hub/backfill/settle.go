package backfill

import (
	"slices"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// settle finds out whether the feed has lost messages that are in no history, and tells. Nothing
// newer is delivered before.
func (f *fill) settle() error {
	losses, unsettled := f.unsettledLosses() // before the marks are read
	if !unsettled {
		return nil
	}
	marks, err := f.filler.marks.read(f.name)
	if err != nil {
		return err
	}
	if f.tellSettled(marks[0]) { // a new mark stands behind all that was lost
		if err := f.filler.marks.now(f.name); err != nil {
			return err
		}
	}
	f.settled(losses)
	return nil
}

// settleAll settles many channels, as far as their marks can be read and written together. What
// cannot is settled by each fill.
func (f *Filler) settleAll(fills []*fill) {
	losses := make(map[*fill]uint64, len(fills)) // before the marks are read
	fills = slices.DeleteFunc(slices.Clone(fills), func(c *fill) (settled bool) {
		n, unsettled := c.unsettledLosses()
		losses[c] = n
		return !unsettled
	})
	if f.marks == nil || len(fills) == 0 {
		return
	}
	marks, err := f.marks.read(names(fills)...)
	if err != nil {
		return
	}
	var marked []*fill
	for i, c := range fills {
		if c.tellSettled(marks[i]) {
			marked = append(marked, c)
		} else {
			c.settled(losses[c])
		}
	}
	if len(marked) == 0 || f.marks.write(names(marked)) != nil {
		return
	}
	for _, c := range marked {
		c.settled(losses[c])
	}
}

// tellSettled tells of a gap where the mark that the channel has at the broker says that a
// message may be missing, unless that was told. It reports whether the channel has a mark.
func (f *fill) tellSettled(mark broker.Position) (marked bool) {
	f.mu.Lock()
	reason := f.unsettled
	marked = f.marked
	f.mu.Unlock()
	if marked || mark.IsZero() || reason == "" {
		return marked
	}
	f.tellLoss(reason)
	return true
}

// tellLoss tells that messages which are in no history may be missing.
func (f *fill) tellLoss(reason broker.GapReason) {
	f.mu.Lock()
	f.heard++
	f.handing = true
	f.markedAt, f.marked = f.last, true
	f.mu.Unlock()
	f.sink.Gap(transport.Gap{Channel: f.name, Reason: reason, From: f.last})
	f.handed()
}

// unsettledLosses returns how often the feed may have lost messages that are in no history, and
// whether it is not known what that has cost.
func (f *fill) unsettledLosses() (losses uint64, unsettled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.losses, f.unsettled != ""
}

// settled notes that it is known what the first so many losses have cost. What was lost since
// may be behind the mark that was made.
func (f *fill) settled(losses uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.losses == losses {
		f.unsettled = ""
	}
}
