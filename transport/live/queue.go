package live

import "slices"

// A queue has the commands of one connection that are not done, and says which of them may
// begin. One may begin where no earlier one on its channel is left; others overtake it. But
// publications that wait are done together, and a renew waits for all that came before and
// holds up all that comes after. It is not for concurrent use.
type queue struct {
	commands   []*command // in the order in which they came; nil where there are none
	publishing bool       // some are being published

	passed map[string]passed // for begin
}

// passed is what begin has passed by on a channel.
type passed uint8

const (
	nothing   passed = iota
	joinable         // publications that begin now, which others may join
	forbidden        // a command that nothing on this channel may overtake
)

// A start is what may begin now: some commands each by itself, and some publications together.
type start struct {
	publish []*command // in the order in which they came
	others  []*command
}

// add takes c in.
func (q *queue) add(c *command) start {
	q.commands = append(q.commands, c)
	if q.publishing && c.kind == publish {
		return start{} // as nothing has changed for the others
	}
	return q.begin()
}

// done takes out what has begun together and is done now.
func (q *queue) done(begun ...*command) start {
	for _, c := range begun {
		c.done = true
	}
	q.publishing = q.publishing && begun[0].kind != publish
	q.commands = slices.DeleteFunc(q.commands, func(c *command) bool { return c.done })
	if len(q.commands) == 0 {
		q.commands, q.passed = nil, nil // nothing is kept for a client that is quiet
		return start{}
	}
	return q.begin()
}

// begin returns what may begin, each command once.
func (q *queue) begin() (s start) {
	if q.passed == nil {
		q.passed = map[string]passed{}
	}
	clear(q.passed)
	for i, c := range q.commands {
		if c.kind == renew {
			if i == 0 && !c.begun {
				c.begun = true
				s.others = append(s.others, c)
			}
			break
		}
		before := q.passed[c.channel]
		switch {
		case !c.begun && c.kind == publish && !q.publishing && before != forbidden:
			c.begun = true
			s.publish = append(s.publish, c)
			q.passed[c.channel] = joinable
			continue
		case !c.begun && c.kind != publish && before == nothing:
			c.begun = true
			s.others = append(s.others, c)
		}
		q.passed[c.channel] = forbidden
	}
	q.publishing = q.publishing || len(s.publish) > 0
	return s
}
