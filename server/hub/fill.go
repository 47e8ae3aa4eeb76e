package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

const (
	maxReads     = 16              // of the history at a time, so that a blip is not followed by a storm
	pageMessages = 512             // of one reading
	readTimeout  = 5 * time.Second // of one reading
	fillPatience = time.Minute     // with a history that cannot be read, as while Redis loads it; then a gap is told
	jitterAbove  = 64              // topics that lost their link together: nodes then do not read in step
	maxJitter    = 100 * time.Millisecond
	maxNames     = 1000             // channels that the broker is asked for at once
	maxAudit     = 30 * time.Second // between comparisons of all channels with their histories
)

// fillAll fills what may be missing in topics, each of which the caller has marked.
// It does not wait. reason is told where the history cannot be read.
func (h *Hub) fillAll(topics []*topic, reason broker.GapReason) {
	if len(topics) > 0 {
		h.spawn(func() { h.fillEach(topics, reason) })
	}
}

func (h *Hub) fillEach(topics []*topic, reason broker.GapReason) {
	if len(topics) > jitterAbove && !h.sleep(jitter(maxJitter)) {
		return
	}
	var fills sync.WaitGroup
	defer fills.Wait()
	for some := range slices.Chunk(topics, maxNames) {
		h.settleAll(some)
		newest, err := h.newest(h.ctx, names(some)...)
		for i, t := range some {
			if err != nil || t.track.isUnsettled() || !t.track.isLevel(newest[i]) || !h.level(t) {
				fills.Go(func() { h.fill(t, reason) })
			}
		}
	}
}

// newest returns the newest position of each channel.
func (h *Hub) newest(ctx context.Context, channels ...string) ([]broker.Position, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	newest, err := h.history.Newest(ctx, channels...)
	if err == nil && len(newest) != len(channels) {
		err = errShort
	}
	return newest, err
}

var errShort = errors.New("hub: the driver has not answered for each channel")

// inTurn reads the history when it is its turn, so that a bounded number of readings
// are under way. It returns ErrClosed when the hub closes. A turn ends with the
// reading: what waits after a failure waits elsewhere, so that a channel whose history
// cannot be read keeps no other waiting.
func (h *Hub) inTurn(read func() error) error {
	select {
	case h.reads <- struct{}{}:
	case <-h.ctx.Done():
		return broker.ErrClosed
	}
	defer func() { <-h.reads }()
	return read()
}

// fill reads the history behind what was delivered to t last, and delivers it,
// until it is level with what waits.
func (h *Hub) fill(t *topic, reason broker.GapReason) {
	began, backoff := time.Now(), minBackoff
	for {
		var more bool
		err := h.inTurn(func() error {
			err := h.settleOutside(t)
			if err == nil {
				more, err = h.fillPage(t)
			}
			return err
		})
		switch {
		case err == nil && (more || !h.level(t)):
			began, backoff = time.Now(), minBackoff
			continue
		case err == nil, h.ctx.Err() != nil:
			return
		case errors.Is(err, broker.ErrDenied), time.Since(began) > fillPatience:
			h.log.Error("hub: the history cannot be read", "error", err)
			h.surrender(t, reason)
			return
		}
		if !h.sleep(jitter(backoff)) {
			return
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// sleep reports whether the hub is still there after d.
func (h *Hub) sleep(d time.Duration) bool { return wait(h.ctx, d) }

// fillPage delivers one page of the history to t, and a gap wherever something is
// missing that cannot be had any more. It reports whether there is more.
func (h *Hub) fillPage(t *topic) (more bool, err error) {
	k := t.track
	from := k.where()
	page, err := h.query(t.name, broker.Query{After: from.after(), Limit: pageMessages})
	if err == nil && len(page.Messages) > 0 && k.waitsOutside() {
		err = h.marking.now(t.name)
	}
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	missing := from.misses(page)
	if missing && len(page.Messages) == 0 {
		h.miss(t, gapBefore(t.name, from.at, nil))
	}
	for i, m := range page.Messages {
		if k.step(m.Position) == repeats {
			continue
		}
		if !k.adjoins(m.Position) {
			h.overtake(t, m.Position)
		}
		if !k.adjoins(m.Position) && (missing || i > 0 || page.Complete) {
			h.tellGap(t, gapBefore(t.name, k.last, page.Messages[i:]))
		}
		k.move(m.Position)
		h.counts.filled.Add(1)
		h.deliver(t, m)
	}
	return page.More && k.last != from.at, nil
}

// overtake delivers what waits with positions before p: it is not in the history any
// more.
func (h *Hub) overtake(t *topic, p broker.Position) {
	for m, ok := t.track.earlier(p); ok; m, ok = t.track.earlier(p) {
		h.accept(t, m)
	}
}

// accept delivers m, after a gap where something is missing before it.
func (h *Hub) accept(t *topic, m broker.Message) {
	k := t.track
	if isLoss(m) {
		h.tellOutside(t, broker.GapReason(m.Data))
		return
	}
	switch k.step(m.Position) {
	case repeats:
		return
	case jumps:
		h.tellGap(t, gapBetween(t.name, k.last, m.Position))
	}
	k.move(m.Position)
	h.deliver(t, m)
}

// miss tells that something is missing behind what was delivered last: once, as long
// as nothing comes after it.
func (h *Hub) miss(t *topic, g transport.Gap) {
	if t.track.end() {
		h.tellGap(t, g)
	}
}

// gapBefore is the gap between last and the first of messages that are left.
func gapBefore(channel string, last broker.Position, messages []broker.Message) transport.Gap {
	if len(messages) == 0 {
		return transport.Gap{Channel: channel, Reason: transport.NotRetained, From: last}
	}
	g := gapBetween(channel, last, messages[0].Position)
	if g.Reason == transport.Missing {
		g.Reason = transport.NotRetained
	}
	return g
}

// gapBetween is the gap between two messages that are neighbours in the history.
func gapBetween(channel string, from, to broker.Position) transport.Gap {
	g := transport.Gap{Channel: channel, Reason: transport.Missing, From: from, To: to}
	if from.Epoch != to.Epoch && !from.IsZero() {
		g.Reason = transport.NewEpoch
	}
	return g
}

// level delivers what waits, as far as there is no hole before it that may be filled
// by now, and reports whether that was all. Then the fill is over.
//
// A message that jumps, and that the history does not have though it was read since,
// is not believed: the broker has lost it, or somebody has made its position up. It is
// dropped behind a gap. Were it delivered, what is honest and before it could not be
// any more.
func (h *Hub) level(t *topic) bool {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.again {
		return false
	}
	for i, m := range k.waiting {
		switch {
		case k.step(m.Position) != jumps:
			h.accept(t, m)
		case i < k.read:
			h.miss(t, transport.Gap{Channel: t.name, Reason: transport.Missing, From: k.last})
		default: // it came after the history was read
			k.shift(i)
			return false
		}
	}
	h.finish(t)
	return true
}

// surrender tells that what is missing will not come, and delivers what waits. What
// comes through the feed is believed then: nothing else is to be had.
func (h *Hub) surrender(t *topic, reason broker.GapReason) {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	h.miss(t, transport.Gap{Channel: t.name, Reason: reason, From: k.last})
	if k.unsettled != "" { // it is not known, so it is taken to have lost some
		k.unsettled, k.markedAt, k.marked = "", k.last, true
		h.marking.add(t.name)
	}
	k.fresh = true
	for _, m := range k.waiting {
		h.accept(t, m)
	}
	h.finish(t)
}

// finish ends the fill of t. The caller holds the track's lock.
func (h *Hub) finish(t *topic) {
	k := t.track
	k.waiting, k.bytes, k.read = nil, 0, 0
	k.filling, k.again, k.spilled = false, false, false
}

// audit looks at times whether anything is missing at the end of a channel, where
// no later message shows it, and so keeps the histories of idle channels that
// somebody listens to from expiring.
func (h *Hub) audit() {
	for h.sleep(jitter(min(h.history.Retention().Age/2, maxAudit))) {
		var differ []*topic
		for some := range slices.Chunk(h.tracked(), maxNames) {
			newest, err := h.newest(h.ctx, names(some)...)
			if err != nil && h.ctx.Err() == nil {
				h.log.Warn("hub: channels cannot be compared with their histories; trying again", "channels", len(some), "error", err)
				break // nor can the others, most likely
			}
			for i, p := range newest {
				if !some[i].track.isLevel(p) { // or something is on its way, which the fill will see
					differ = append(differ, some[i])
				}
			}
		}
		h.fillAll(mark(differ), broker.LinkLost)
	}
}

// tracked returns the topics that the feed carries and that have a history.
func (h *Hub) tracked() []*topic {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var topics []*topic
	for _, t := range h.topics {
		if t.there && t.track != nil {
			topics = append(topics, t)
		}
	}
	return topics
}

// mark returns those of topics whose fill the caller is to begin.
func mark(topics []*topic) []*topic {
	var marked []*topic
	for _, t := range topics {
		if t.track.mark() {
			marked = append(marked, t)
		}
	}
	return marked
}
