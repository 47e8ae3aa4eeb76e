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
	wheel   wheel
	leaving pace
	closing bool // everybody is being ended, latecomers too
}

func newWorker(o Options, c *counts) *worker {
	w := &worker{inbox: newInbox(), options: o, counts: c}
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
		case <-ctx.Done():
			return
		}
	}
}

// stop closes the connections that are left, and of those who were about to come.
func (w *worker) stop() {
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
	case level:
		w.flush(e.catchup.group())
		w.catchUp(e.catchup, e.frame.position)
	case endOne:
		w.flushFor(e.session)
		w.mute(e.session)
		w.end(e.session, e.reason)
	case attach:
		w.flushFor(e.session)
		w.attach(e.session)
	case detach:
		w.detach(e.session)
	case endAll:
		for _, g := range slices.Concat(w.current, w.dirty) {
			if g != nil {
				w.flush(g)
			}
		}
		w.endAll(e.rate)
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
	for i := range s.places {
		w.flush(s.places[i].group)
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
	w.send(g, joined, g.frames[:n])
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

// sendTo sends frames, which joined is made of, to s. It reports false where s is too
// slow for them.
func (w *worker) sendTo(g *group, s *session, joined []byte, frames []frame) bool {
	dropped, err := s.Socket.Send(&w.writer, socket.Batch{Frames: joined, Messages: len(frames), Gap: g.dropped})
	if dropped > 0 {
		w.counts.dropped.Add(uint64(dropped))
	}
	if !errors.Is(err, socket.ErrSlow) {
		return true
	}
	if !w.fallBehind(g, s, frames) {
		w.disconnect(s)
	}
	return false
}

// disconnect ends s because it is too slow.
func (w *worker) disconnect(s *session) {
	w.counts.disconnected.Add(1)
	s.hub.log.Info("hub: a client does not read fast enough, disconnecting it")
	s.Socket.Cut(s.Encoding.End(transport.EndSlow))
}

// gap tells those who listen to g that messages may be missing, or ends them.
func (w *worker) gap(g *group, told frame) {
	for i := len(g.members) - 1; i >= 0; i-- { // a member that is ended is taken out
		w.sendGap(g.members[i], told.bytes)
	}
	for i := len(g.behind) - 1; i >= 0; i-- {
		w.gapBehind(g.behind[i], told)
	}
}

// sendGap tells s of a gap, or ends it where it has no words for that. It fits, or s
// goes: it must not miss that.
func (w *worker) sendGap(s *session, told []byte) {
	if len(told) == 0 {
		w.mute(s)
		w.leaving.add(s, transport.EndGap)
		return
	}
	_, err := s.Socket.Send(&w.writer, socket.Batch{Frames: told})
	if errors.Is(err, socket.ErrSlow) {
		w.disconnect(s)
	}
}

// endAll ends every session, so many a second or, where that is asked for twice,
// as the faster one says.
func (w *worker) endAll(rate float64) {
	w.closing = true
	w.leaving.rate = max(w.leaving.rate, rate)
	for s := range w.wheel.all() {
		w.leaving.add(s, transport.EndShutdown)
	}
}

// end ends s, unless it has left meanwhile.
func (w *worker) end(s *session, reason transport.End) {
	if s.slot != gone {
		s.Socket.End(s.Encoding.End(reason))
	}
}

// ping keeps the connections of the wheel's next slot alive, and ends those that
// have not answered.
func (w *worker) ping(now time.Time) {
	silent := now.Add(-w.options.PongTimeout).Unix()
	for _, s := range w.wheel.turn() {
		if s.Answers && s.heard.Load() < silent {
			s.Socket.Cut(s.Encoding.End(transport.EndIdle))
			continue
		}
		// An error means that the connection is ending already.
		_ = s.Socket.Control(&w.writer, s.Encoding.Ping())
	}
}

// attach begins to send to s.
func (w *worker) attach(s *session) {
	w.wheel.add(s)
	for i := range s.places {
		if c := s.places[i].behind; c != nil {
			w.lag(c)
		} else {
			s.places[i].group.admit(s, i)
		}
	}
	if w.closing {
		w.leaving.add(s, transport.EndShutdown)
	}
}

// detach forgets s.
func (w *worker) detach(s *session) {
	w.wheel.remove(s)
	w.mute(s)
}

// mute stops sending messages to s. Muting again does nothing.
func (w *worker) mute(s *session) {
	for i := range s.places {
		s.places[i].vacate()
	}
}

// admit makes s, at place i, a member of g.
func (g *group) admit(s *session, i int) {
	s.places[i].index = len(g.members)
	g.members = append(g.members, s)
}

// vacate takes the session at p out of its group: the last member takes its
// place.
func (p *place) vacate() {
	if c := p.behind; c != nil {
		c.over.Store(true)
		p.group.behind = slices.DeleteFunc(p.group.behind, func(other *catchup) bool { return other == c })
		p.behind = nil
		return
	}
	if p.index < 0 {
		return
	}
	members := p.group.members
	last := len(members) - 1
	moved := members[last]
	members[p.index] = moved
	members[last] = nil
	p.group.members = members[:last]
	for i := range moved.places {
		if moved.places[i].group == p.group {
			moved.places[i].index = p.index
		}
	}
	p.index = -1
}
