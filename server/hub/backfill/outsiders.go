package backfill

import (
	"fmt"
	"math"

	"github.com/pregon/pregon/broker"
)

// outsiders is what is known of the messages of a channel that are in no history, as other
// programs have published them.
type outsiders struct {
	marked    bool             // there were some
	markedAt  broker.Position  // behind which this node has heard or may have missed one last
	unsettled broker.GapReason // why the feed may have missed one, until that is settled
	losses    uint64           // how often it may have
	heard     uint64           // how many were heard or may have been missed
	handing   bool             // one is just being delivered
}

// hearOutsider notes that a message without a place in the history was heard. The caller holds
// the lock.
func (c *Channel) hearOutsider() {
	c.filler.outside.Add(1)
	c.heard++
	if c.marked && c.markedAt == c.last {
		return // there is a mark at this place, or there will be
	}
	c.markedAt, c.marked = c.last, true
	c.filler.marks.add(c.name)
}

// Outsiders returns how many messages that are in no history were heard or may have been missed,
// as far as all of them were delivered: a caller that begins to read the history now has one more
// to come otherwise. It is for [Channel.Overtake].
func (c *Channel) Outsiders() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.handing || c.outside > 0 {
		return c.heard - 1
	}
	return c.heard
}

// Overtake is called before messages that were read from the history are sent to a client.
// Messages that are in no history wait until the client has these, though some were published
// before. So that it is not taken to have had them if it goes away in between, they are marked
// again, behind what was read. Seen is what Outsiders, or the last Overtake for this client,
// has returned.
func (c *Channel) Overtake(seen uint64) (uint64, error) {
	c.mu.Lock()
	heard := c.heard
	c.mu.Unlock()
	if heard == seen {
		return seen, nil
	}
	if err := c.filler.marks.now(c.name); err != nil {
		return seen, err
	}
	return heard, nil
}

// IsUnsettled reports whether it is not known yet what the feed has lost beside the history.
func (c *Channel) IsUnsettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.unsettled != ""
}

// ErrUnsettled means that a node is still finding out what the feed may have lost.
var ErrUnsettled = fmt.Errorf("backfill: it is not known yet whether something was missed: %w", broker.ErrUnavailable)

// behindAll is a position behind all others.
var behindAll = broker.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64}

// NewestMark returns where the newest mark of a channel is: a client that continues from there
// or from before may have missed a message of another program's. It is zero where there is
// none. C is nil where the node does not listen to the channel. While the node is finding out
// what a lost link has cost, the error is ErrUnsettled.
func (f *Filler) NewestMark(name string, c *Channel) (mark broker.Position, err error) {
	if f.marks != nil {
		marks, err := f.marks.read(name)
		if err != nil {
			return mark, err
		}
		mark = marks[0]
	}
	if c != nil {
		return c.newestMark(mark)
	}
	if !mark.IsZero() {
		mark = behindAll // nobody here would have heard another
	}
	return mark, nil
}

// newestMark returns the newest mark, where the broker has this one. In a channel that is known
// to have messages of other programs, there may have been one before this node began to listen,
// which perhaps nobody heard.
func (c *Channel) newestMark(mark broker.Position) (broker.Position, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unsettled != "" {
		return mark, ErrUnsettled
	}
	if (c.marked || !mark.IsZero()) && c.start.Compare(mark) > 0 {
		mark = c.start
	}
	if c.markedAt.Compare(mark) > 0 {
		mark = c.markedAt
	}
	return mark, nil
}
