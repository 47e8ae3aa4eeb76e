package hub

import "github.com/pregon/pregon/transport"

// A joining is a membership whose channel the broker has yet to confirm.
type joining struct {
	*catchup
	start transport.Start
	begin func() origin // where it begins; to be called once the channel is confirmed
	err   *error        // what Subscribe returns for it
}

// prepare has the worker keep what comes for m from now on: so nothing is lost between
// the broker's confirmation and what is done about it.
func (h *Hub) prepare(m *membership, sub transport.Subscription, err *error) joining {
	c := newCatchup(m)
	c.tell = sub.Answer
	return joining{catchup: c, start: sub.Start, begin: h.begin(c), err: err}
}

// begin tells the worker of c to keep what comes, and notes where the channel ends at that
// very moment: everything behind that is kept. The function that it returns is called when
// the broker has confirmed the channel, and says where the session begins.
func (h *Hub) begin(c *catchup) (confirmed func() origin) {
	join := func() { c.session.worker.post(entry{kind: joined, catchup: c}) }
	k := c.group.topic.track
	if k == nil {
		join()
		return func() origin { return origin{} }
	}
	if end := k.Enter(join); end.Known {
		return func() origin { return origin{at: end.At, anew: end.Anew, moving: end.Moving} }
	}
	return func() origin { return origin{at: k.Start(), anew: k.Start().IsZero()} }
}

// end lets the client hear the channel, from where it asked, or where the channel is not
// confirmed takes it out again.
func (j joining) end(refused error) {
	h, c := j.session.hub, j.catchup
	if refused != nil {
		if h.part(c.membership) {
			c.session.worker.post(entry{kind: parted, membership: c.membership})
		}
		return
	}
	o := j.begin()
	if j.start != (transport.Start{}) {
		h.spawn(func() { h.replay.resume(c, j.start, o) })
		return
	}
	told, ok := c.said(transport.Subscribed{Channel: c.channel(), Position: h.replay.cursor(o)})
	if !ok {
		return
	}
	c.anew, c.moving = o.anew, o.moving
	c.session.worker.post(entry{kind: live, catchup: c, frame: frame{bytes: told, position: o.at}})
}
