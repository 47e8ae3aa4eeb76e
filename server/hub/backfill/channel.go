package backfill

import (
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A Sink hears one channel. It is called by one goroutine at a time, and may wait: that holds
// up the feed, or what is read for this channel. It must not call the Channel's Hear.
type Sink interface {
	Deliver(m broker.Message)
	Gap(g transport.Gap)
}

// A Channel follows the positions of one channel's messages, so that a hole is seen and filled
// before anything newer is delivered. [Filler.Channel] makes one.
type Channel struct {
	name   string
	sink   Sink
	filler *Filler
	turn   turn

	mu       sync.Mutex // not held while sink is called
	sequence            // what is delivered, or is just being delivered; a fill alone changes it while it runs
	backlog             // what has come since a fill began
	outsiders
	filling bool      // a fill delivers; the channel is begun then, and what comes waits
	again   bool      // the history is to be read once more
	emptied time.Time // Anew was called for this time while the channel was filled
}

// Hear takes the next message of the feed. It is delivered where nothing is missing before it.
// Otherwise, and while that is read from the history, it waits. Ahead of Begin it is dropped.
func (c *Channel) Hear(m broker.Message) {
	if !c.admit(m) {
		return
	}
	c.sink.Deliver(m)
	if m.Position.IsZero() {
		c.handed()
	}
	c.turn.end()
}

// admit reports whether the caller is to deliver m, and then to end its turn.
func (c *Channel) admit(m broker.Message) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		return false
	}
	if m.Position.IsZero() {
		c.hearOutsider()
	}
	if c.filling {
		c.wait(m)
		return false
	}
	switch c.step(m) {
	case follows:
		c.deliver(m)
		c.turn.begin()
		return true
	case jumps:
		c.filling = true
		c.wait(m)
		c.filler.fillAll([]*Channel{c}, transport.Missing)
	}
	return false
}

// deliver notes that m is about to be delivered. It is noted before, so that a client for which
// the end of the channel is noted then is taken to have m, and does not hear it twice. The
// caller holds the lock.
func (c *Channel) deliver(m broker.Message) {
	if !m.Position.IsZero() {
		c.move(m.Position)
		return
	}
	c.handing = true
	c.markedAt = c.last // a client that continues behind last may have missed it
}

// handed notes that the message of another program, or the loss of one, was delivered.
func (c *Channel) handed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.handing = false
}

// wait keeps m until the fill is done. What does not fit is read again, or lost where it is in
// no history. The caller holds the lock.
func (c *Channel) wait(m broker.Message) {
	switch {
	case c.add(m):
	case m.Position.IsZero():
		c.lose(broker.Overrun)
	default:
		c.again = true
	}
}

// claim reports whether the caller is to begin a fill. Where one is under way it will read once
// more. The caller holds the lock.
func (c *Channel) claim() bool {
	c.again = c.filling
	c.filling = true
	return !c.again
}

// lost notes that the feed may have lost messages, and reports whether the caller is to begin a
// fill. What is lost beside the history is told where it is lost for good, or the channel is
// known to have such messages, and otherwise once its marks were read.
func (c *Channel) lost(reason broker.GapReason, forGood bool) bool {
	forGood = forGood || c.filler.strangers(c.name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.begun {
		return false
	}
	if forGood || c.marked {
		c.heard++
		c.lose(reason)
	}
	if c.filler.marks != nil {
		c.unsettled = reason
		c.losses++
	}
	return c.claim()
}

// recheck reports whether the caller is to begin a fill.
func (c *Channel) recheck() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.begun && c.claim()
}

// begin notes the newest position before the channel was subscribed.
func (c *Channel) begin(newest broker.Position) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sequence.begin(newest) {
		c.marked, c.markedAt, c.unsettled = false, broker.Position{}, ""
	}
}

// Forget notes that the feed does not carry the channel any more. What comes after the next
// Begin has nothing to do with what came before.
func (c *Channel) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.filling { // or the fill would lose its way
		c.begun = false
	}
}

// An End is where a channel ends at a moment: all that is behind that is delivered later.
type End struct {
	At     broker.Position // of the newest message that was delivered, zero for none
	Anew   bool            // see Misses
	Known  bool            // false before Begin
	Moving bool            // the message there may just be on its way to the Sink
}

// Enter calls join, which must not wait, and returns where the channel ends at that moment.
func (c *Channel) Enter(join func()) End {
	c.mu.Lock()
	defer c.mu.Unlock()
	join()
	return End{At: c.last, Anew: c.anew(), Known: c.begun, Moving: c.filling || c.turn.taken()}
}

// Start returns where the channel ended when Begin was called.
func (c *Channel) Start() broker.Position {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.start
}

// isAt reports whether nothing is missing up to newest.
func (c *Channel) isAt(newest broker.Position) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last == newest
}

// beganAnew tells of a gap where the channel had no message at a time: its history has begun
// anew since, and what may have been lost of it left nothing to see that by. While the channel
// is filled, the fill does that in the end.
func (c *Channel) beganAnew(since time.Time) {
	c.mu.Lock()
	if c.filling {
		c.emptied = since
	}
	tell := !c.filling && c.renew(since)
	if tell {
		c.turn.begin()
	}
	c.mu.Unlock()
	if tell {
		c.sink.Gap(transport.Gap{Channel: c.name, Reason: transport.NewEpoch})
		c.turn.end()
	}
}
