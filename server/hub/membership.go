package hub

import (
	"sync/atomic"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// A membership is a session's stay in a channel. It begins behind its group, which
// keeps for it what comes, and is a member from when the broker has confirmed the channel
// and what the client wants of the history has been sent.
//
// Its group finds it by pointer and it knows where it stands there, and the session
// strings its memberships on a list: so it comes and goes at a cost that depends
// neither on how many channels the session has nor on how many sessions the group has.
type membership struct {
	session *session
	group   *group

	answered atomic.Bool // its client knows that it has begun

	last func() []byte // what to send behind the last message; nil for nothing. It is set ahead of the entry parted

	// Guarded by the hub's lock:
	ended bool         // the stay is over
	end   func(Ending) // what Caller.Begin has returned

	// The worker's own, from the entry joined on:
	behind     *catchup    // nil where it hears what is live
	index      int         // in the group's members or behind; gone for neither
	prev, next *membership // of the session
	linked     bool        // it is on that list
	left       bool        // for good
}

// begun tells the Caller that the client was answered.
func (m *membership) begun(sub transport.Subscription) {
	end := m.session.caller.Begin(sub, m.tell)
	if end == nil {
		return
	}
	h := m.session.hub
	h.mu.Lock()
	ended := m.ended
	m.end = end
	h.mu.Unlock()
	if ended {
		end(Lost) // meanwhile: that it was unsubscribed is not known any more
	}
}

// over tells the Caller that the stay, which the hub does not know any more, is over.
func (m *membership) over(how Ending) {
	h := m.session.hub
	h.mu.Lock()
	m.ended = true
	end := m.end
	h.mu.Unlock()
	if end != nil {
		end(how)
	}
	m.session.caller.Left(m.group.topic.name)
}

// tell implements Tell.
func (m *membership) tell(encode func(transport.Encoding) []byte) {
	if bytes := encode(m.group.encoding); len(bytes) > 0 {
		m.session.worker.post(entry{kind: told, membership: m, frame: frame{bytes: bytes}})
	}
}

// A member is a membership as it is sent to: with the socket at hand, as that is all
// that is needed for nearly every message.
type member struct {
	socket *socket.Socket
	*membership
}

// link puts m on its session's list.
func (m *membership) link() {
	s := m.session
	if m.next = s.memberships; m.next != nil {
		m.next.prev = m
	}
	s.memberships, m.linked = m, true
}

// unlink takes m off its session's list. Where it is not on it, nothing happens.
func (m *membership) unlink() {
	if !m.linked {
		return
	}
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		m.session.memberships = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	}
	m.prev, m.next, m.linked = nil, nil, false
}

// admit makes m a member of its group: it hears what is live.
func (m *membership) admit() {
	g := m.group
	m.index = len(g.members)
	g.members = append(g.members, member{m.session.Socket, m})
}

// lag puts m behind its group, which keeps what comes in c.
func (m *membership) lag(c *catchup) {
	g := m.group
	m.behind, m.index = c, len(g.behind)
	g.behind = append(g.behind, c)
}

// vacate takes m out of its group: the last one takes its place. Vacating again does
// nothing.
func (m *membership) vacate() {
	g, at := m.group, m.index
	m.index = gone
	if m.behind == nil && at != gone {
		g.members = swapDelete(g.members, at)
		if at < len(g.members) {
			g.members[at].index = at
		}
	}
	if m.behind != nil && at != gone {
		g.behind = swapDelete(g.behind, at)
		if at < len(g.behind) {
			g.behind[at].index = at
		}
	}
	if m.behind != nil {
		m.behind.stop()
		m.behind = nil
	}
}

// swapDelete takes the element at i out: the last one takes its place.
func swapDelete[T any](s []T, i int) []T {
	last := len(s) - 1
	s[i] = s[last]
	clear(s[last:])
	return s[:last]
}
