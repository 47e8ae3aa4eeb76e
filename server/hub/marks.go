package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Other programs publish on the channels of a history, too, without a place in it.
// Such a message is heard when it comes, and cannot be read later. So that no client
// is taken to have missed nothing where it may have missed one, its channel gets a
// mark behind the newest message (see broker.Marker): a client that continues from
// there or from before is not recovered. Where the link was lost in a channel that
// has a mark, there may have been another: that is a gap, which nothing fills, and
// a mark.
//
// A mark is known at once on the node that makes it, and to others as soon as the
// broker has it. What cannot be known is the first such message of a channel, where
// no node has heard it.

// markPause is the least time between writings of marks. A channel in which very much
// comes is written once for all of it.
const markPause = 2 * time.Millisecond

// A marking writes the marks of channels in which something was heard. It is nil where
// the broker has no marks.
type marking struct {
	hub    *Hub
	marker broker.Marker

	mu    sync.Mutex
	dirty map[string]struct{} // channels; no more than the hub has
	wake  chan struct{}       // holds a token where dirty has something
}

func newMarking(h *Hub) *marking {
	marker, ok := h.broker.(broker.Marker)
	if !ok || h.history == nil {
		return nil
	}
	return &marking{hub: h, marker: marker, dirty: map[string]struct{}{}, wake: make(chan struct{}, 1)}
}

// add has channel marked.
func (m *marking) add(channel string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dirty[channel] = struct{}{}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run writes until the hub closes. What cannot be written is tried again for as long
// as that takes.
func (m *marking) run() {
	for {
		select {
		case <-m.wake:
		case <-m.hub.ctx.Done():
			return
		}
		channels := m.take()
		for backoff := minBackoff; m.write(channels) != nil; backoff = min(2*backoff, maxBackoff) {
			if !m.hub.sleep(jitter(backoff)) {
				return
			}
		}
		if !m.hub.sleep(markPause) {
			return
		}
	}
}

func (m *marking) take() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	channels := slices.Collect(maps.Keys(m.dirty))
	clear(m.dirty)
	return channels
}

func (m *marking) write(channels []string) error {
	ctx, cancel := context.WithTimeout(m.hub.ctx, readTimeout)
	defer cancel()
	return m.marker.Mark(ctx, channels...)
}

// read returns the marks of channels, as far as the broker has them.
func (m *marking) read(channels ...string) ([]broker.Position, error) {
	ctx, cancel := context.WithTimeout(m.hub.ctx, readTimeout)
	defer cancel()
	marks, err := m.marker.Marks(ctx, channels...)
	if err == nil && len(marks) != len(channels) {
		err = errShort
	}
	return marks, err
}

// now marks channel before it returns.
func (m *marking) now(channel string) error {
	if m == nil {
		return nil
	}
	return m.write([]string{channel})
}

// outside notes that a message without a place in the history of t was heard. The
// caller holds the track's lock.
func (h *Hub) outside(t *topic) {
	h.counts.outside.Add(1)
	t.track.outside++
	t.track.markedAt, t.track.marked = t.track.last, true
	h.marking.add(t.name)
}

// missedOutside notes that the feed may have lost messages of t which are in no
// history. That is told where t is known to have had some, at once or behind what waits
// for a fill, and otherwise once its marks were read.
func (h *Hub) missedOutside(t *topic, reason string) {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.marked:
	case k.filling:
		k.lose(reason)
	default:
		h.tellOutside(t, reason)
	}
	if h.marking != nil {
		k.unsettled = reason
		k.losses++
	}
}

// lossOf stands among messages that wait for a fill where others may be missing.
func lossOf(reason string) broker.Message { return broker.Message{Data: []byte(reason)} }

func isLoss(m broker.Message) bool { return m.Channel == "" }

// lose notes behind what waits that messages which are in no history may be missing.
// The caller holds the lock.
func (k *track) lose(reason string) {
	k.outside++
	if n := len(k.waiting); n == 0 || !isLoss(k.waiting[n-1]) {
		k.enqueue(lossOf(reason))
	}
}

// waitsOutside reports whether anything waits that is in no history.
func (k *track) waitsOutside() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.waiting, func(m broker.Message) bool { return m.Position.IsZero() })
}

// outsiders returns how many messages that are in no history were heard or may have been
// missed.
func (k *track) outsiders() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.outside
}

// markOvertaken is called before page is sent to c. Messages that are in no history wait
// until c has it, though some were published before. So that c is not taken to have had
// these if it goes away in between, they are marked again, behind page.
func (h *Hub) markOvertaken(c *catchup, page broker.Page) error {
	n := c.group().topic.track.outsiders()
	if n == c.outside || len(page.Messages) == 0 {
		return nil
	}
	if err := h.marking.now(c.channel()); err != nil {
		return err
	}
	c.outside = n
	return nil
}

// tellOutside tells that messages which are in no history may be missing. The caller
// holds the track's lock.
func (h *Hub) tellOutside(t *topic, reason string) {
	h.tellGap(t, transport.Gap{Channel: t.name, Reason: reason, From: t.track.last})
	t.track.outside++
	t.track.markedAt, t.track.marked = t.track.last, true
}

// settleAll settles each of topics whose marks can be read together now.
func (h *Hub) settleAll(topics []*topic) {
	topics = slices.DeleteFunc(slices.Clone(topics), func(t *topic) bool { return !t.track.isUnsettled() })
	if h.marking == nil || len(topics) == 0 {
		return
	}
	marks, err := h.marking.read(names(topics)...)
	if err != nil {
		return // each is settled by itself
	}
	for i, t := range topics {
		_ = h.settleWith(t, marks[i]) // likewise
	}
}

// settleOutside finds out whether messages that are in no history may be missing in t, and
// tells. To be called by the fill of t, so that nothing newer is delivered before.
func (h *Hub) settleOutside(t *topic) error {
	if !t.track.isUnsettled() {
		return nil
	}
	marks, err := h.marking.read(t.name)
	if err != nil {
		return err
	}
	return h.settleWith(t, marks[0])
}

// settleWith is settleOutside for the mark that t has at the broker. A new mark stands
// behind all that was lost.
func (h *Hub) settleWith(t *topic, mark broker.Position) error {
	k := t.track
	k.mu.Lock()
	if !k.marked && !mark.IsZero() && k.unsettled != "" {
		h.tellOutside(t, k.unsettled)
	}
	marked, losses := k.marked, k.losses
	k.mu.Unlock()
	if marked {
		if err := h.marking.now(t.name); err != nil {
			return err
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.losses == losses { // otherwise the mark may be in front of what was lost meanwhile
		k.unsettled = ""
	}
	return nil
}

// Mark returns where the newest mark of a channel is: a client that continues from
// there or from before may have missed a message of another program's. It is zero
// where there is none. While the node is still finding out what a lost link has cost,
// it waits for that.
func (h *Hub) Mark(ctx context.Context, channel string) (broker.Position, error) {
	for {
		mark, err := h.newestMark(channel)
		if !errors.Is(err, errUnsettled) || !wait(ctx, jitter(minBackoff)) {
			return mark, err
		}
	}
}

func (h *Hub) newestMark(channel string) (mark broker.Position, err error) {
	if h.marking != nil {
		marks, err := h.marking.read(channel)
		if err != nil {
			return mark, err
		}
		mark = marks[0]
	}
	if t := h.known(channel); t != nil && t.track != nil {
		own, unsettled := t.track.ownMark()
		if unsettled {
			return mark, errUnsettled
		}
		if own.Compare(mark) > 0 {
			mark = own
		}
	}
	return mark, nil
}

// errUnsettled means that a node is still finding out what the feed may have lost.
var errUnsettled = fmt.Errorf("hub: it is not known yet whether something was missed: %w", broker.ErrUnavailable)

// ownMark returns the newest mark that this node has made, and whether it is still
// finding out whether there must be another.
func (k *track) ownMark() (mark broker.Position, unsettled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.markedAt, k.unsettled != ""
}

func (k *track) isUnsettled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsettled != ""
}
