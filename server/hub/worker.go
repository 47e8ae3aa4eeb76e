package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// joinBytes is how many bytes of frames are joined into one write. More would
// save few system calls, and make a client that is a little behind look slow.
const joinBytes = 64 << 10

// A worker sends to its share of the sessions. Its goroutine alone touches what
// is not the inbox.
type worker struct {
	*inbox
	options Options
	counts  *counts
	writer  socket.Writer
	dirty   []*group // groups with frames, for the next round
	current []*group // those of this round whose turn has not come; nil for the others
	backlog bool     // the last round has not sent all that it could
	spare   []entry  // those taken before, for reuse
	done    tally
	output  output
	times   times
	wheel   wheel
	leaving drainLimiter
	lead    float64 // see drainLimiter.spread
	expires expiry
	reviews reviewing
	slow    slowTally
	closing bool // everybody is being ended, latecomers too
}

func newWorker(o Options, c *counts, by clock) *worker {
	w := &worker{inbox: newInbox(), options: o, counts: c, times: times{clock: by}}
	w.leaving.rate = float64(o.EndRate) / float64(o.Workers)
	return w
}

// run works until ctx ends. When all is sent it may rest: see tally.rest.
func (w *worker) run(ctx context.Context) {
	defer w.stop()
	tick := time.NewTicker(w.options.PingInterval / wheelSlots)
	defer tick.Stop()
	arrived, rested := w.arrived, (<-chan time.Time)(nil)
	for {
		select {
		case <-arrived:
			if rest := w.work(); rest > 0 {
				arrived, rested = nil, time.After(rest)
			}
		case <-rested:
			arrived, rested = w.arrived, nil
		case now := <-tick.C:
			w.ping(now)
		case <-w.leaving.next:
			w.leaving.step(w.end)
		case <-w.expires.next:
			w.expires.step(w.endOne)
		case <-w.reviews.next:
			w.reviews.step(w)
		case <-w.slow.next:
			w.slow.tell(w.options.Logger)
		case <-ctx.Done():
			return
		}
		w.times.observe()
	}
}

// stop closes the connections that are left, and of those who were about to come.
func (w *worker) stop() {
	w.slow.tell(w.options.Logger)
	for _, e := range w.close() {
		if e.kind == attach {
			w.wheel.add(e.session)
		}
	}
	for s := range w.wheel.all() {
		_ = s.Socket.Close() // its reader hears of it
	}
}

// work does what waits in the inbox and one round of sending. It returns how long
// to rest; where much is left it does not rest, and has itself called again.
func (w *worker) work() (rest time.Duration) {
	began := time.Now()
	w.doAll()
	w.round()
	w.done.took += time.Since(began)
	if len(w.dirty) > 0 {
		w.wake()
	}
	if w.backlog {
		return 0
	}
	rest = w.done.rest()
	w.done = tally{}
	return rest
}

// doAll does what waits in the inbox, but for the sending of messages.
func (w *worker) doAll() {
	entries := w.take(w.spare)
	for i := range entries {
		w.do(&entries[i])
	}
	clear(entries) // an idle worker keeps no messages
	w.spare = entries
}

// do does what e asks for. It stands between the messages around it of the channels
// that it concerns.
func (w *worker) do(e *entry) {
	switch e.kind {
	case message:
		w.collect(e.group, e.frame)
	case gapped:
		w.flush(e.group)
		w.gap(e.group, e.frame)
	case barred:
		w.flush(e.group)
		w.bar(e.group, e.frame)
	case joined:
		w.flush(e.catchup.group)
		w.join(e.catchup)
	case live:
		w.flush(e.catchup.group)
		w.goLive(e.catchup, e.frame)
		w.settle(e.catchup.session)
	case replayed:
		w.replay(e.catchup)
	case level:
		w.flush(e.catchup.group)
		w.catchUp(e.catchup, e.frame.position)
	case parted:
		w.flush(e.membership.group)
		behind := e.membership.behind
		w.part(e.membership)
		if behind != nil {
			w.say(e.membership.session, behind.unanswered())
		}
		if last := e.membership.last; last != nil {
			w.say(e.membership.session, last())
		}
		w.settle(e.membership.session)
	case answered:
		if m := e.membership; m.linked && !m.session.ending {
			w.reviewOne(m)
			w.settle(m.session)
		}
	case told:
		if e.membership.linked {
			w.say(e.membership.session, e.frame.bytes)
		}
	case renewed:
		w.renew(e.session, e.frame.bytes)
	case say:
		w.flushFor(e.session)
		w.say(e.session, e.frame.bytes)
	case endOne:
		w.endOne(e.session, e.reason)
	case review:
		w.reviews.begin()
	case asked:
		e.do()
	case attach:
		w.attach(e.session)
	case detach:
		w.detach(e.session)
	case endAll:
		for _, g := range slices.Concat(w.current, w.dirty) {
			if g != nil {
				w.flush(g)
			}
		}
		w.endAll(e.over)
	}
}

// collect has f sent to g in its turn.
func (w *worker) collect(g *group, f frame) {
	w.markDirty(g)
	g.frames = append(g.frames, f)
}

func (w *worker) markDirty(g *group) {
	if !g.dirty {
		g.dirty = true
		w.dirty = append(w.dirty, g)
	}
}

// round sends one write's worth of each group that has frames.
//
// Between groups it looks for what has come meanwhile: groups whose turn comes later
// in this round send that, too, so that no client waits for more than one round and
// one rest. Groups that had their turn wait for the next round: a channel with much to
// be sent delays the others by its part of a round, not by all that it has.
func (w *worker) round() {
	w.current, w.dirty, w.backlog = w.dirty, w.current[:0], false
	written := w.done.writes
	for i, g := range w.current {
		w.current[i] = nil
		g.dirty = false
		w.sendSome(g)
		if len(g.frames) > 0 {
			w.backlog = true
			w.markDirty(g)
		}
		if w.done.writes-written >= groupSize {
			written = w.done.writes
			w.doAll()
		}
	}
}

// flush sends all frames of g.
func (w *worker) flush(g *group) {
	for len(g.frames) > 0 {
		w.sendSome(g)
	}
}

// flushFor sends all frames of the groups of s.
func (w *worker) flushFor(s *session) {
	for m := s.memberships; m != nil; m = m.next {
		w.flush(m.group)
	}
}

// sendSome sends as many of g's frames as are joined into one write.
func (w *worker) sendSome(g *group) {
	if len(g.frames) == 0 {
		return
	}
	joined, left := join(g.frames)
	n := len(g.frames) - len(left)
	w.done.add(len(g.members), n)
	w.sendTraced(g, joined, g.frames[:n])
	w.output.show()
	w.times.note(g.frames[:n])
	g.frames = slices.Delete(g.frames, 0, n)
	w.sent(n, len(joined))
}

// join joins as many of frames as make up joinBytes, at least one, and returns
// the rest.
func join(frames []frame) (joined []byte, rest []frame) {
	n, size := 1, len(frames[0].bytes)
	for n < len(frames) && size+len(frames[n].bytes) <= joinBytes {
		size += len(frames[n].bytes)
		n++
	}
	if n == 1 {
		return frames[0].bytes, frames[1:]
	}
	joined = make([]byte, 0, size) // not reused: a slow client may keep it
	for _, f := range frames[:n] {
		joined = append(joined, f.bytes...)
	}
	return joined, frames[n:]
}

// send sends frames, which joined is made of, to every member of g.
func (w *worker) send(g *group, joined []byte, frames []frame) {
	for i := len(g.members) - 1; i >= 0; i-- { // a member that falls behind is taken out
		w.sendTo(g, g.members[i], joined, frames)
	}
	if len(g.behind) > 0 {
		w.sendBehind(g, frames)
	}
}

// sendTo sends frames, which joined is made of, to m, which is of g. It reports false where m
// is too slow for them. What is read of the membership only then costs no cache line before.
func (w *worker) sendTo(g *group, m member, joined []byte, frames []frame) bool {
	dropped, err := m.socket.Send(&w.writer, socket.Batch{Frames: joined, Messages: len(frames), DropNotice: g.dropped})
	if dropped > 0 {
		w.counts.dropped.Add(uint64(dropped))
	}
	if err == nil {
		w.output.add(len(frames), len(joined))
		return true
	}
	if !errors.Is(err, socket.ErrSlow) {
		return true
	}
	if !w.fallBehind(m.membership, frames) {
		w.disconnect(m.session)
	}
	return false
}

// disconnect ends s because it is too slow.
func (w *worker) disconnect(s *session) {
	w.counts.disconnected.Add(1)
	w.slow.add()
	s.Socket.CloseNow(s.Control.Close(transport.CloseSlow))
}

// gap tells those who listen to g that messages may be missing, or ends them.
func (w *worker) gap(g *group, told frame) {
	for i := len(g.members) - 1; i >= 0; i-- { // a member that is ended is taken out
		w.sendGap(g.members[i].session, told.bytes)
	}
	for i := len(g.behind) - 1; i >= 0; i-- {
		w.gapBehind(g.behind[i], told)
	}
}

// sendGap tells s of a gap, or closes it where its encoding cannot express that.
func (w *worker) sendGap(s *session, told []byte) {
	if len(told) == 0 {
		w.mute(s)
		w.leaving.add(s, transport.CloseGap)
		return
	}
	w.say(s, told)
}

// say sends one frame to s, or disconnects it: it must not miss the frame.
func (w *worker) say(s *session, said []byte) {
	if len(said) == 0 {
		return
	}
	if _, err := s.Socket.Send(&w.writer, socket.Batch{Frames: said}); errors.Is(err, socket.ErrSlow) {
		w.disconnect(s)
	}
}
