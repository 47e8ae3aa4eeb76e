package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
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
// broker has it. In a channel that has one, a client that continues from before its
// node began to listen there is not recovered either: nobody may have heard another.
// What cannot be known is the first such message of a channel, where no node has heard
// it.

// markPause is the least time between writings of marks. A channel in which very much
// comes is written once for all of it.
const markPause = 2 * time.Millisecond

// A marking writes the marks of channels in which something was heard. It is nil where
// the broker has no marks.
type marking struct {
	hub    *Hub
	marker broker.Marker

	refused sync.Once // says that a mark cannot be written
	unknown sync.Once // says that marks cannot be read

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
	for backoff := minBackoff; ; {
		select {
		case <-m.wake:
		case <-m.hub.ctx.Done():
			return
		}
		pause := markPause
		if err := m.writeAll(m.take()); err == nil {
			backoff = minBackoff
		} else {
			pause, backoff = jitter(backoff), min(2*backoff, maxBackoff)
		}
		if !m.hub.sleep(pause) {
			return
		}
	}
}

// writeAll writes the marks of channels. Where the broker refuses, it finds out which
// ones: one channel without permission must not keep the others from being marked. What
// is worth another try is put back.
func (m *marking) writeAll(channels []string) error {
	err := m.write(channels)
	switch {
	case err == nil:
		return nil
	case concernsAll(err):
		for _, c := range channels {
			m.add(c)
		}
		return err
	case len(channels) > 1:
		half := len(channels) / 2
		return errors.Join(m.writeAll(channels[:half]), m.writeAll(channels[half:]))
	}
	m.refused.Do(func() {
		m.hub.log.Error("hub: a channel cannot be marked, so clients may be told that they recovered over what other programs publish there; others are not logged", "error", err)
	})
	return nil
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
	if errors.Is(err, broker.ErrDenied) {
		m.unknown.Do(func() {
			m.hub.log.Error("hub: marks cannot be read, so no client of these channels is recovered; others are not logged", "error", err)
		})
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
	k := t.track
	k.outside++
	if k.marked && k.markedAt == k.last {
		return // there is a mark at this place, or there will be
	}
	k.markedAt, k.marked = k.last, true
	h.marking.add(t.name)
}

// missedOutside notes that the feed may have lost messages of t which are in no
// history. That is told where t is known to have had some, at once or behind what waits
// for a fill, and otherwise once its marks were read.
func (h *Hub) missedOutside(t *topic, reason broker.GapReason) {
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
func lossOf(reason broker.GapReason) broker.Message { return broker.Message{Data: []byte(reason)} }

func isLoss(m broker.Message) bool { return m.Channel == "" }

// lose notes behind what waits that messages which are in no history may be missing.
// The caller holds the lock.
func (k *track) lose(reason broker.GapReason) {
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
	n := c.group.topic.track.outsiders()
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
func (h *Hub) tellOutside(t *topic, reason broker.GapReason) {
	h.tellGap(t, transport.Gap{Channel: t.name, Reason: reason, From: t.track.last})
	t.track.outside++
	t.track.markedAt, t.track.marked = t.track.last, true
}

// settleAll settles topics, as far as their marks can be read and written together.
// What cannot is settled by the fill of each.
func (h *Hub) settleAll(topics []*topic) {
	topics = slices.DeleteFunc(slices.Clone(topics), func(t *topic) bool { return !t.track.isUnsettled() })
	if h.marking == nil || len(topics) == 0 {
		return
	}
	losses := make(map[*topic]uint64, len(topics)) // before the marks are read
	for _, t := range topics {
		losses[t] = t.track.lost()
	}
	marks, err := h.marking.read(names(topics)...)
	if err != nil {
		return
	}
	var marked []*topic
	for i, t := range topics {
		if h.tellSettled(t, marks[i]) {
			marked = append(marked, t)
		} else {
			t.track.settled(losses[t])
		}
	}
	if len(marked) == 0 || h.marking.write(names(marked)) != nil {
		return
	}
	for _, t := range marked {
		t.track.settled(losses[t])
	}
}

// settleOutside finds out whether messages that are in no history may be missing in t, and
// tells. To be called by the fill of t, so that nothing newer is delivered before.
func (h *Hub) settleOutside(t *topic) error {
	if !t.track.isUnsettled() {
		return nil
	}
	losses := t.track.lost() // before the marks are read
	marks, err := h.marking.read(t.name)
	if err != nil {
		return err
	}
	if h.tellSettled(t, marks[0]) { // a new mark stands behind all that was lost
		if err := h.marking.now(t.name); err != nil {
			return err
		}
	}
	t.track.settled(losses)
	return nil
}

// tellSettled tells of a gap in t where the mark that it has at the broker says that one
// may be missing, unless that was told. It reports whether t has a mark.
func (h *Hub) tellSettled(t *topic, mark broker.Position) (marked bool) {
	k := t.track
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.marked && !mark.IsZero() && k.unsettled != "" {
		h.tellOutside(t, k.unsettled)
	}
	return k.marked
}

// lost returns how often the feed may have lost messages that are in no history.
func (k *track) lost() uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.losses
}

// settled notes that it is known what the first so many losses have cost. What was lost
// since may be behind the mark that was made.
func (k *track) settled(losses uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.losses == losses {
		k.unsettled = ""
	}
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
	t := h.known(channel)
	if t == nil || t.track == nil {
		if !mark.IsZero() {
			mark = behindAll // nobody here would have heard another
		}
		return mark, nil
	}
	own, unsettled := t.track.ownMark(!mark.IsZero())
	if unsettled {
		return mark, errUnsettled
	}
	if own.Compare(mark) > 0 {
		mark = own
	}
	return mark, nil
}

// behindAll is a position behind all others.
var behindAll = broker.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64}

// errUnsettled means that a node is still finding out what the feed may have lost.
var errUnsettled = fmt.Errorf("hub: it is not known yet whether something was missed: %w", broker.ErrUnavailable)

// ownMark returns the newest mark that this node has made, and whether it is still
// finding out whether there must be another. In a channel that is known to have messages
// of other programs, there may have been one before this node began to listen, which
// perhaps nobody heard.
func (k *track) ownMark(known bool) (mark broker.Position, unsettled bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	mark = k.markedAt
	if (known || k.marked) && k.first.Compare(mark) > 0 {
		mark = k.first
	}
	return mark, k.unsettled != ""
}

func (k *track) isUnsettled() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.unsettled != ""
}
