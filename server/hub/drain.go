package hub

import (
	"math"
	"time"

	"github.com/pregon/pregon/transport"
)

// paceStep is how often a drainLimiter lets some through.
const paceStep = 10 * time.Millisecond

// A drainLimiter ends sessions at a bounded rate: EndRate or, when all are to go, spread evenly over
// the time for that.
type drainLimiter struct {
	rate    float64 // a second
	waiting []departure
	credit  float64          // departures that are due, fractions included
	counted time.Time        // until when credit is counted
	next    <-chan time.Time // when to call step; nil where nobody waits
}

// A departure is a session that is to be ended.
type departure struct {
	session *session
	reason  transport.CloseReason
}

// add has s ended when its turn comes. A session is added once.
func (p *drainLimiter) add(s *session, reason transport.CloseReason) {
	if s.ending {
		return
	}
	s.ending = true
	p.waiting = append(p.waiting, departure{s, reason})
	if p.next == nil {
		p.counted = time.Now().Add(-paceStep)
		p.next = time.After(0)
	}
}

// step ends those whose turn it is.
func (p *drainLimiter) step(end func(*session, transport.CloseReason)) {
	now := time.Now()
	p.credit += p.rate * now.Sub(p.counted).Seconds()
	p.counted = now
	n := int(min(p.credit, float64(len(p.waiting))))
	for _, d := range p.waiting[:n] {
		end(d.session, d.reason)
	}
	p.credit -= float64(n)
	p.waiting = p.waiting[n:]
	if len(p.waiting) == 0 {
		p.waiting, p.credit, p.next = nil, 0, nil
		return
	}
	p.next = time.After(p.untilNext())
}

// untilNext is how long the next departure takes to fall due, and no shorter than paceStep.
func (p *drainLimiter) untilNext() time.Duration {
	return max(paceStep, time.Duration((1-p.credit)/p.rate*float64(time.Second)))
}

// spread has the sessions that wait end evenly over a time, all at once for 0. lead, from 0 to 1, is how
// much of one departure is due already: workers with a client each do not end them in one moment.
// Where it is asked for twice the faster one counts.
func (p *drainLimiter) spread(over time.Duration, lead float64, again bool) {
	if over == 0 {
		p.rate, p.credit = math.MaxFloat64, math.MaxFloat64
	} else {
		rate := float64(max(1, len(p.waiting))) / over.Seconds()
		if again && rate <= p.rate {
			return
		}
		p.rate, p.credit = rate, lead
	}
	p.counted = time.Now()
	if len(p.waiting) > 0 {
		p.next = time.After(0)
	}
}
