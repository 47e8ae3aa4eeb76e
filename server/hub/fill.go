package hub

import (
	"context"
	"errors"
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
)

// oldest is a position before all others.
var oldest = broker.Position{Epoch: 1}

// fillAll fills what may be missing in topics, each of which the caller has marked.
// It does not wait. reason is told where the history cannot be read.
func (h *Hub) fillAll(topics []*topic, reason string) {
	if len(topics) > 0 {
		h.spawn(func() { h.fillEach(topics, reason) })
	}
}

func (h *Hub) fillEach(topics []*topic, reason string) {
	if len(topics) > jitterAbove && !h.sleep(jitter(maxJitter)) {
		return
	}
	newest := h.newest(topics)
	var fills sync.WaitGroup
	defer fills.Wait()
	for i, t := range topics {
		if newest != nil && t.track.isLevel(newest[i]) && h.level(t) {
			continue
		}
		if !h.reading() {
			return
		}
		fills.Go(func() { defer h.doneReading(); h.fill(t, reason) })
	}
}

// reading waits for leave to read the history, which doneReading gives back. It
// reports false when the hub closes.
func (h *Hub) reading() bool {
	select {
	case h.reads <- struct{}{}:
		return true
	case <-h.ctx.Done():
		return false
	}
}

func (h *Hub) doneReading() { <-h.reads }

// newest returns the newest position of each topic, nil where that is not to be had.
func (h *Hub) newest(topics []*topic) []broker.Position {
	ctx, cancel := context.WithTimeout(h.ctx, readTimeout)
	defer cancel()
	newest, err := h.history.Newest(ctx, names(topics)...)
	if err != nil {
		return nil
	}
	return newest
}

// fill reads the history behind what was delivered to t last, and delivers it,
// until it is level with what waits.
func (h *Hub) fill(t *topic, reason string) {
	began, backoff := time.Now(), minBackoff
	for {
		more, err := h.fillPage(t)
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
func (h *Hub) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-h.ctx.Done():
		return false
	}
}

// fillPage delivers one page of the history to t, and a gap wherever something is
// missing that cannot be had any more.
func (h *Hub) fillPage(t *topic) (more bool, err error) {
	k := t.track
	last, fresh := k.where()
	unheard := fresh && last.IsZero() // the channel had no history when it was subscribed
	after := last
	if unheard {
		after = oldest
	}
	page, err := h.readHistory(t.name, after, pageMessages)
	if err != nil {
		return false, err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	missing := !page.Complete && !unheard || unheard && !begins(page)
	if missing && len(page.Messages) == 0 {
		h.miss(t, gapBefore(t.name, last, nil))
	}
	for i, m := range page.Messages {
		if missing && i == 0 || k.jumpsTo(m.Position) {
			h.overtake(t, m.Position)
			h.miss(t, gapBefore(t.name, k.last, page.Messages[i:]))
		}
		if k.step(m.Position) != repeats {
			h.counts.filled.Add(1)
			h.deliver(t, m)
		}
	}
	return page.More, nil
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
	switch previous := k.last; k.step(m.Position) {
	case repeats:
		return
	case jumps:
		h.tellGap(t, gapBetween(t.name, previous, m.Position))
		k.last = m.Position
	}
	h.deliver(t, m)
}

// miss tells that something is missing behind what was delivered last: once, as long
// as nothing comes after it.
func (h *Hub) miss(t *topic, g transport.Gap) {
	k := t.track
	if !k.told || !g.To.IsZero() {
		h.tellGap(t, g)
	}
	k.fresh, k.told = true, true
}

func (h *Hub) readHistory(channel string, after broker.Position, limit int) (broker.Page, error) {
	return h.query(channel, broker.Query{After: after, Limit: limit})
}

// begins reports whether a page that was read from the beginning begins with the
// first message of an epoch, or has none.
func begins(page broker.Page) bool {
	return len(page.Messages) == 0 || page.Messages[0].Position.Seq == 0
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

// level delivers what waits, as far as there is no hole before it, and reports
// whether that was all. Then the fill is over.
func (h *Hub) level(t *topic) bool {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.again {
		return false
	}
	for i, m := range k.waiting {
		if !m.Position.IsZero() && k.jumpsTo(m.Position) && k.hole != m.Position {
			k.hole = m.Position // it may have come after the history was read
			k.waiting = k.waiting[i:]
			return false
		}
		h.accept(t, m)
	}
	h.finish(t)
	return true
}

// surrender tells that what is missing will not come, and delivers what waits.
func (h *Hub) surrender(t *topic, reason string) {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	h.miss(t, transport.Gap{Channel: t.name, Reason: reason, From: k.last})
	for _, m := range k.waiting {
		h.accept(t, m)
	}
	h.finish(t)
}

// finish ends the fill of t. The caller holds the track's lock.
func (h *Hub) finish(t *topic) {
	k := t.track
	if k.spilled {
		h.tellGap(t, transport.Gap{Channel: t.name, Reason: broker.Overrun})
	}
	k.waiting, k.bytes = nil, 0
	k.filling, k.again, k.spilled = false, false, false
	k.hole = broker.Position{}
}

// audit looks at times whether anything is missing at the end of a channel, where
// no later message shows it, and so keeps the histories of idle channels that
// somebody listens to from expiring.
func (h *Hub) audit() {
	for h.sleep(jitter(h.history.Retention().Age / 2)) {
		topics := h.tracked()
		var differ []*topic
		for i, newest := range h.newest(topics) {
			if !topics[i].track.isLevel(newest) { // or something is on its way, which the fill will see
				differ = append(differ, topics[i])
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
