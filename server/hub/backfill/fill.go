package backfill

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/internal/retry"
	"github.com/pregon/pregon/transport"
)

const (
	pageMessages = 512                    // of one reading
	jitterAbove  = 64                     // channels that lost their link together: nodes then do not read in step
	maxJitter    = 100 * time.Millisecond // by which they do not
)

// A fill brings a Channel up to its history. While it runs it alone delivers to the Sink, and it
// alone changes the Channel's sequence, which it therefore reads without the lock.
type fill struct {
	*Channel
	reason broker.GapReason // told where the history cannot be read
}

// fillAll begins the fills of channels, each of which the caller has claimed. It does not wait.
func (f *Filler) fillAll(channels []*Channel, reason broker.GapReason) {
	if len(channels) == 0 {
		return
	}
	fills := make([]*fill, len(channels))
	for i, c := range channels {
		fills[i] = &fill{c, reason}
	}
	f.spawn(func() { f.fillEach(fills) })
}

// fillEach compares many channels with their histories at once, and reads of those that differ.
func (f *Filler) fillEach(fills []*fill) {
	for _, c := range fills {
		c.turn.await()
		c.tellFirst()
	}
	if len(fills) > jitterAbove && !retry.Sleep(f.ctx, retry.Jitter(maxJitter)) {
		return
	}
	var running sync.WaitGroup
	defer running.Wait()
	for some := range slices.Chunk(fills, maxNames) {
		f.settleAll(some)
		newest, err := f.Newest(f.ctx, names(some)...)
		for i, c := range some {
			if err != nil || c.IsUnsettled() || !c.isAt(newest[i]) || !c.drain(false) {
				running.Go(c.run)
			}
		}
	}
}

// tellFirst tells at once what the feed has lost beside the history ahead of all that waits.
func (f *fill) tellFirst() {
	f.mu.Lock()
	m, ok := f.head()
	ok = ok && isLoss(m)
	if ok {
		f.take()
	}
	f.mu.Unlock()
	if ok {
		f.accept(m)
	}
}

// run reads the history behind what was delivered last, and delivers it, until nothing is
// missing ahead of what waits.
func (f *fill) run() {
	f.filler.fills.Add(1)
	var pause retry.Backoff
	for began := time.Now(); ; {
		more, err := f.read()
		hopeless := err != nil && (errors.Is(err, broker.ErrDenied) || time.Since(began) > patience)
		switch {
		case f.filler.ctx.Err() != nil, err == nil && !more && f.drain(false):
			return
		case hopeless:
			f.filler.log.Error("backfill: the history cannot be read", "error", err)
			if f.giveUp() {
				return
			}
		case err != nil && !pause.Wait(f.filler.ctx):
			return
		}
		if err == nil || hopeless {
			began = time.Now()
			pause.Reset()
		}
	}
}

// read reads and delivers one page when it is its turn. It reports whether there is more.
func (f *fill) read() (more bool, err error) {
	err = f.filler.InTurn(func() (err error) {
		if err = f.settle(); err == nil {
			more, err = f.page()
		}
		return err
	})
	return more, err
}

// page delivers one page of the history, and a gap wherever something is missing that cannot be
// had any more. It reports whether there is more.
func (f *fill) page() (more bool, err error) {
	from, anew := f.last, f.anew()
	f.readAhead()
	page, err := f.filler.History(f.name, broker.Query{After: After(from), Limit: pageMessages})
	if err == nil && len(page.Messages) > 0 && f.outsidersWait() {
		err = f.filler.marks.now(f.name)
	}
	if err != nil {
		return false, err
	}
	missing := Misses(from, anew, page)
	if missing && len(page.Messages) == 0 {
		f.miss(GapBefore(f.name, from, nil))
	}
	for i, m := range page.Messages {
		if f.step(m) == repeats {
			continue
		}
		if !Follows(f.last, m) {
			f.overtake(m.Position)
		}
		if !Follows(f.last, m) && (missing || i > 0 || page.Complete || f.last != from) {
			f.sink.Gap(GapBefore(f.name, f.last, page.Messages[i:]))
		}
		f.filler.filled.Add(1)
		f.put(m)
	}
	return page.More && f.last != from, nil
}

// readAhead notes that what waits now is in what is read next, or in no history: a broker keeps
// a message before it sends it.
func (f *fill) readAhead() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.again, f.backlog.read = false, len(f.waiting)
}

// outsidersWait reports whether anything waits that is in no history.
func (f *fill) outsidersWait() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.outside > 0
}

// overtake delivers what waits with positions before p: it is not in the history any more.
func (f *fill) overtake(p broker.Position) {
	for {
		f.mu.Lock()
		m, ok := f.head()
		ok = ok && m.Position.Compare(p) < 0
		if ok {
			f.take()
		}
		f.mu.Unlock()
		if !ok {
			return
		}
		f.accept(m)
	}
}

// take takes the head of what waits, which the caller hands on. The caller holds the lock.
func (f *fill) take() {
	f.handing = f.waiting[0].Position.IsZero()
	f.shift()
}

// accept delivers m, after a gap where something is missing before it.
func (f *fill) accept(m broker.Message) {
	if isLoss(m) {
		f.tellLoss(broker.GapReason(m.Data))
		return
	}
	switch f.step(m) {
	case repeats:
		return
	case jumps:
		f.sink.Gap(GapBetween(f.name, f.last, m.Position))
	}
	f.put(m)
}

// put delivers m.
func (f *fill) put(m broker.Message) {
	f.mu.Lock()
	f.deliver(m)
	f.mu.Unlock()
	f.sink.Deliver(m)
	if m.Position.IsZero() {
		f.handed()
	}
}

// miss tells that something is missing behind what was delivered last: once, as long as nothing
// comes after it.
func (f *fill) miss(g transport.Gap) {
	f.mu.Lock()
	news := f.tell()
	f.mu.Unlock()
	if news {
		f.sink.Gap(g)
	}
}
