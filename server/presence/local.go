package presence

import (
	"time"

	"github.com/pregon/pregon/transport"
)

// grace is how long a client may stay away whose connection was lost, before it has left.
const grace = 2 * time.Second

// local are the connections of this node's clients.
type local struct {
	members map[key]*connected
	missed  []missed // in the order of their times
}

// connected is a member that is connected here, or was lately.
type connected struct {
	connections int
	until       time.Time // the member stays at least until then; zero for no time
	waits       bool      // it is among missed
}

// missed is a member to look at when its time has come.
type missed struct {
	key
	at time.Time
}

func newLocal() local { return local{members: map[key]*connected{}} }

// Join makes a connection one of m's in a channel. When it ends, leave is called, once: lost says
// that its client may come back, as the connection has broken. The error is that of CheckMember.
func (e *Engine) Join(channel string, m transport.Member) (leave func(lost bool), err error) {
	if err := CheckMember(m); err != nil {
		return nil, err
	}
	k, info, now := key{channel, m.Subject}, compact(m.Info), time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.local.members[k]
	if c == nil {
		c = &connected{}
		e.local.members[k] = c
	}
	c.connections++
	c.until = time.Time{}
	e.setOwn(k, &value{info: info, since: now.UnixMilli(), connections: c.connections})
	return func(lost bool) { e.leave(k, lost) }, nil
}

func (e *Engine) leave(k key, lost bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.local.members[k]
	c.connections--
	if lost {
		c.until = time.Now().Add(grace)
		if !c.waits {
			c.waits = true
			e.local.missed = append(e.local.missed, missed{k, c.until})
		}
	}
	e.renew(k, c)
}

// renew brings the entry of a member up to its connections: one that is missed counts as
// one, as long as there is no other.
func (e *Engine) renew(k key, c *connected) {
	n := c.connections
	if n == 0 && !c.until.IsZero() {
		n = 1
	}
	if n > 0 {
		v := *e.valueOf(e.own, k)
		v.connections = n
		e.setOwn(k, &v)
		return
	}
	e.setOwn(k, nil)
	if !c.waits {
		delete(e.local.members, k)
	}
}

// expireMissed lets those go who have not come back.
func (e *Engine) expireMissed(now time.Time) {
	l := &e.local
	for len(l.missed) > 0 && !l.missed[0].at.After(now) {
		k := l.missed[0].key
		l.missed = l.missed[1:]
		c := l.members[k]
		if c.until.After(now) { // missed again meanwhile
			l.missed = append(l.missed, missed{k, c.until})
			continue
		}
		c.until, c.waits = time.Time{}, false
		e.renew(k, c)
	}
	if len(l.missed) == 0 {
		l.missed = nil
	}
}

// setOwn is set for this node, which is to tell the others.
func (e *Engine) setOwn(k key, v *value) {
	before, after := e.set(e.own, k, v)
	e.outgoing.changed(k, before, after)
}
