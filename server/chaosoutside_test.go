package server_test

import (
	"fmt"
	"testing"
	"time"
)

// Strangers are other programs on Redis, whose messages are in no history. What is
// missing of them cannot be read later, so a client must have been told of it, at its
// place.
type strangers struct {
	outside map[int]*stranger // by publisher; nil where the client hears no strangers
	stays   bool              // it does not drop connections by itself
	atGap   bool              // no message came after the gap that was told last

	reasons    map[string]int // gaps told, "" for a connection that was closed
	yes, no    int            // times that the client was told to be recovered, or not
	repeats    int            // messages heard again after coming back
	missed     int            // messages that are missing without a word
	overlooked []string       // that are missing though the client was told to have missed nothing
}

// A stranger is what one client has heard of one of them.
type stranger struct {
	last    int  // the newest number heard
	here    int  // and over this connection
	excused int  // up to which numbers may be missing
	resumed bool // since last the client was told that it has missed nothing
}

func newStrangers() strangers {
	return strangers{outside: map[int]*stranger{}, reasons: map[string]int{}}
}

// reached returns up to which number nothing is missing that was not told.
func (s *stranger) reached() int { return max(s.last, s.excused) }

// hearStranger checks one message: new, in order, and with nothing missing before it
// that was begun after the client had come, or had last been told. The caller holds
// the lock.
func (c *checker) hearStranger(s *stranger, publisher, n int) {
	if n <= s.here {
		c.fail("heard %d of stranger %d after %d", n, publisher, s.here)
		return
	}
	if s.here = n; n <= s.last {
		c.repeats++ // another node hears it a little later, and nothing says that it is the same
		return
	}
	for missing := s.reached() + 1; missing < n; missing++ {
		switch {
		case !c.accepted(publisher, missing):
		case s.resumed:
			c.overlook("%d of stranger %d is missing between %d and %d, and the client was told that it is recovered", missing, publisher, s.last, n)
		default:
			c.missed++
			c.fail("%d of stranger %d is missing between %d and %d, and no gap was told", missing, publisher, s.last, n)
		}
	}
	s.last, s.resumed = n, false
}

func (c *checker) overlook(format string, args ...any) {
	c.overlooked = append(c.overlooked, time.Now().Format(clock)+" "+fmt.Sprintf(format, args...)+c.before())
}

// comeToStrangers notes that the client has a new connection, with a cursor or
// without. The caller holds the lock.
func (c *checker) comeToStrangers(cursor string) {
	for _, s := range c.outside {
		s.here = 0
	}
	if cursor == "" {
		c.excuseStrangers()
		return
	}
	for _, s := range c.outside {
		s.resumed = true
	}
}

// excuseStrangers excuses what was begun by now. The caller holds the lock.
func (c *checker) excuseStrangers() {
	for publisher, s := range c.outside {
		s.excused, s.resumed = c.begun(publisher), false
	}
}

// leaveGap excuses what was begun before the first message behind a gap: what was lost
// until then, too, is missing at this place. The caller holds the lock.
func (c *checker) leaveGap(publisher, n int) {
	if !c.atGap {
		return
	}
	c.atGap = false
	for id, s := range c.outside {
		if excused := c.begun(id); id == publisher {
			s.excused = max(s.excused, min(excused, n-1))
		} else {
			s.excused = excused
		}
	}
}

// answered notes what the client was told that came back, and the place that it was given.
func (c *checker) answered(cursor string, recovered bool) {
	c.mu.Lock()
	c.detour.answer(c.position(cursor), recovered)
	c.mu.Unlock()
	if recovered {
		c.recovered()
	} else {
		c.unrecovered()
	}
}

// recovered notes that the client was told that it has missed nothing.
func (c *checker) recovered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.yes++
	c.note("recovered")
}

// unrecovered notes that the client was told that it may have missed something.
func (c *checker) unrecovered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.no++
	c.gaps++
	c.note("not recovered")
	c.excuse()
}

// incomplete is unrecovered for each message of a page.
func (c *checker) incomplete() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.excuse()
}

// answers returns how often the client was told that it is recovered, and that it is
// not.
func (c *checker) answers() (yes, no int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.yes, c.no
}

// markTime is how long a mark of a stranger's message may take to be in Redis, on a
// machine that is busy. A page of the history that is read meanwhile does not tell.
const markTime = 500 * time.Millisecond

// paged notes what a page of the history says that was asked for at one time, behind
// where another page ended which was there at since.
func (v *visitor) paged(complete bool, since, asked time.Time) {
	if !complete {
		v.unrecovered()
		return
	}
	if since.IsZero() {
		return
	}
	v.recovered()
	for _, p := range v.chaos.load.of(v.channel) {
		if n := p.between(since, asked.Add(-markTime)); p.stranger && n > 0 {
			v.mu.Lock()
			v.overlook("a page is complete though %d of stranger %d was published behind its beginning", n, p.id)
			v.mu.Unlock()
		}
	}
}

// The checker finds what it is there for among strangers' messages, too.
func TestChaosCheckerOfStrangers(t *testing.T) {
	const come, comeBack, gap, unrecovered = "come", "come back", "gap", "unrecovered"
	for _, c := range []struct {
		name             string
		heard            []string // of 0, and what happens between; a message is published just before it is heard
		errs, overlooked int
	}{
		{"all", []string{come, "0 1", "0 2"}, 0, 0},
		{"the first", []string{come, "0 2"}, 1, 0},
		{"begun in the middle", []string{"publish 0 4", come, "0 4", "0 5"}, 0, 0},
		{"missing after it came", []string{"publish 0 4", come, "0 6"}, 1, 0},
		{"missing", []string{come, "0 1", "0 3"}, 1, 0},
		{"missing and never accepted", []string{come, "7 1", "7 3"}, 0, 0},
		{"missing and told", []string{come, "0 1", "publish 0 2", gap, "0 3"}, 0, 0},
		{"missing and told before it was published", []string{come, "0 1", gap, "publish 0 2", "0 3"}, 0, 0},
		{"told before", []string{come, "0 1", gap, "5 1", "0 3"}, 1, 0},
		{"told of another place", []string{come, "0 1", "0 3", gap}, 1, 0},
		{"missing while away", []string{come, "0 1", "publish 0 2", comeBack, "0 3"}, 0, 1},
		{"missing while away and told", []string{come, "0 1", "publish 0 2", comeBack, unrecovered, "0 3"}, 0, 0},
		{"missing while away and told by a gap", []string{come, "0 1", "publish 0 2", comeBack, gap, "0 3"}, 0, 0},
		{"missing after it came back", []string{come, "0 1", comeBack, unrecovered, "0 2", "0 4"}, 1, 0},
		{"twice", []string{come, "0 1", "0 1"}, 1, 0},
		{"late", []string{come, "0 1", "0 3", "0 2"}, 2, 0},
		{"twice after it came back", []string{come, "0 1", "0 2", comeBack, unrecovered, "0 1", "0 2", "0 3"}, 0, 0},
		{"begun anew", []string{come, "0 1", "publish 0 2", come, "0 3"}, 0, 0},
	} {
		published := map[int]int{}
		ch := newChecker(c.name, func(publisher, _ int) bool { return publisher == 0 })
		ch.outside = map[int]*stranger{0: {}, 7: {}}
		ch.begun = func(publisher int) int { return published[publisher] }
		for _, h := range c.heard {
			switch h {
			case come:
				ch.join("")
			case comeBack:
				ch.join("cursor")
			case gap:
				ch.gap("link-lost")
			case unrecovered:
				ch.unrecovered()
			default:
				var publisher, n int
				if k, _ := fmt.Sscanf(h, "publish %d %d", &publisher, &n); k == 2 {
					published[publisher] = n
					continue
				}
				ch.hear(h, "")
			}
		}
		if _, _, errs := ch.report(); len(errs) != c.errs || len(ch.overlooked) != c.overlooked {
			t.Errorf("%s: %q, %q", c.name, errs, ch.overlooked)
		}
	}
}
