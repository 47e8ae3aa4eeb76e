package hub

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// denied ends channels that the broker has allowed and does not allow any more. Their
// subscribers are told in place. The reconciler asks for the channels once more, so
// that a client that joins one waits for what the broker says then.
func (r *reader) denied(channels []string) {
	for _, channel := range channels {
		t := r.topics.known(channel)
		if t == nil {
			continue
		}
		r.topics.interest.Dropped(t.want)
		if t.track != nil {
			t.track.Forget()
		}
		if t.lost != nil {
			t.lost()
		}
		if t.listen == nil {
			r.counts.gaps.add(broker.Denied)
			gap := transport.Gap{Channel: channel, Reason: broker.Denied}
			t.notify()
			t.audience().fanOut(barred, frame{}, nil, func(e transport.Encoding) []byte { return e.Gap(gap) })
		}
	}
}

// bar tells those who listen to g that its channel has ended.
func (w *worker) bar(g *group, told frame) {
	for i := len(g.members) - 1; i >= 0; i-- { // a member that is ended is taken out
		w.barOne(g.members[i].membership, told.bytes)
	}
	for i := len(g.behind) - 1; i >= 0; i-- {
		w.barOne(g.behind[i].membership, told.bytes)
	}
}

// barOne tells the client of m, and ends its session where it has no other channel or no words
// for that, unless it can be told of the end of the one.
func (w *worker) barOne(m *membership, told []byte) {
	s := m.session
	if w.endStay(m, transport.CloseDenied) {
		return
	}
	w.say(s, told)
	if only := s.memberships.next == nil; only || len(told) == 0 {
		w.mute(s)
		w.leaving.add(s, transport.CloseDenied)
	}
}
