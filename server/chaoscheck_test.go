package server_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
)

// A checker is what one client has heard, beside what it must hear. Messages are
// "publisher number"; each publisher counts from 1.
type checker struct {
	name     string
	topic    string                      // its channel
	accepted func(publisher, n int) bool // a number that was not may be missing

	mu       sync.Mutex
	joins    int         // connections
	last     map[int]int // by publisher, the newest number heard
	latest   string      // the newest message heard that the history has
	gaps     int         // told so far
	breaks   int         // places where numbers may be missing: gaps, and where it began anew
	seen     map[int]int // by publisher, breaks before the newest number
	came     map[int]int // by publisher, what was begun when the client came without a cursor last
	begun    func(publisher int) int
	kept     bool        // a gap is no excuse for what the history has
	here     map[int]int // by publisher, the newest number heard over this connection; nil where that does not matter
	anewed   bool        // over this connection the client may hear what it has heard before
	errs     []string
	closes   int  // connections that the server ended
	anything bool // messages that no publisher has published may come
	heard    int  // messages
	trace

	heardAt, joinedAt, refusedAt time.Time // the last time
	refusal                      error

	strangers // what it hears of these
	detour    detour
}

// madeUp is the first of the numbers that no publisher reaches.
const madeUp = 1 << 30

const clock = "15:04:05.000" // as in the logs of Redis

func newChecker(name string, accepted func(publisher, n int) bool) *checker {
	return &checker{name: name, accepted: accepted, last: map[int]int{}, seen: map[int]int{}, came: map[int]int{}, strangers: newStrangers()}
}

// hear checks one message: new, in order, and with nothing missing before it,
// from the first number on, that was not told. The cursor is empty where there is none.
func (c *checker) hear(text, cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, behind := c.position(cursor), c.detour.place
	again := c.detour.hear(at)
	publisher, n, err := parseSaid(text)
	if err != nil && c.anything {
		return
	}
	if err != nil {
		c.fail("heard %q, which nobody published", text)
		return
	}
	if n == 0 {
		return // see load.begin
	}
	if n >= madeUp {
		c.fail("heard %q, which a hostile program has made up", text)
		return
	}
	c.heard++
	c.heardAt = time.Now()
	defer c.noteMessage(text, at)
	c.leaveGap(publisher, n)
	if s := c.outside[publisher]; s != nil {
		c.hearStranger(s, publisher, n)
		return
	}
	last := c.last[publisher]
	switch {
	case n <= last && again:
		c.repeats++
		return
	case n <= last && c.anewed && n > c.here[publisher]:
		c.here[publisher] = n
		c.repeats++
		return
	case n <= last:
		c.fail("heard %d of publisher %d after %d, at %v behind %v", n, publisher, last, at, behind)
		return
	case c.breaks == c.seen[publisher]:
		for missing := last + 1; missing < n; missing++ {
			if c.accepted(publisher, missing) {
				c.fail("%d%s of publisher %d is missing between %d and %d, and no gap was told", missing, c.place(textOf(publisher, missing), broker.Position{}), publisher, last, n)
			}
		}
	}
	c.last[publisher], c.seen[publisher], c.latest = n, c.breaks, text
	if c.here != nil {
		c.here[publisher] = n
	}
}

// newest returns the newest message heard that the history has.
func (c *checker) newest() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest
}

// textOf is the message n of a publisher.
func textOf(publisher, n int) string { return fmt.Sprintf("%d %d", publisher, n) }

// parseSaid takes a message apart.
func parseSaid(text string) (publisher, n int, err error) {
	who, number, _ := strings.Cut(text, " ")
	publisher, err1 := strconv.Atoi(who)
	n, err2 := strconv.Atoi(number)
	return publisher, n, errors.Join(err1, err2)
}

// gap notes that the client was told that something may be missing.
func (c *checker) gap(reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gaps++
	c.reasons[reason]++
	c.detour.tell()
	c.note("gap %s", reason)
	c.excuse()
	c.atGap = true
}

// excuse makes what is missing here no fault. The caller holds the lock.
func (c *checker) excuse() {
	if !c.kept {
		c.breaks++
	}
	c.excuseStrangers()
}

// anew notes that the client has no place to go on from and does not ask for what it
// may have missed.
func (c *checker) anew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.breaks++
}

// join notes that the client hears what is published from now on, and where it has a
// cursor, what was published since then, or is told that it does not.
func (c *checker) join(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joins++
	c.joinedAt = time.Now()
	c.note("join %s behind %v at %s", c.node, c.position(cursor), c.joinedAt.Format(clock))
	c.anewed = c.here != nil && cursor == ""
	clear(c.here)
	if cursor == "" {
		for publisher := range c.came {
			c.came[publisher] = c.begun(publisher)
		}
	}
	c.comeToStrangers(cursor)
	c.detour.join(c.position(cursor))
}

func (c *checker) joined() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.joins > 0
}

// closed notes that the server ended a connection that was to stay.
func (c *checker) closed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closes++
}

func (c *checker) failf(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(format, args...)
}

// fail says when, for comparison with the logs of nodes and Redis.
func (c *checker) fail(format string, args ...any) {
	c.errs = append(c.errs, time.Now().Format(clock)+" "+fmt.Sprintf(format, args...)+c.before())
}

// has reports whether the client has heard all up to the number n of a publisher that
// it is to hear.
func (c *checker) has(publisher, n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.outside[publisher]; s != nil {
		return !c.stays || s.reached() >= n
	}
	return max(c.last[publisher], c.came[publisher]) >= n
}

// state says what the client is doing.
func (c *checker) state() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprintf("heard up to %v by publisher, last at %s; connected %d times, last at %s; refused last at %s: %v",
		c.last, c.heardAt.Format(clock), c.joins, c.joinedAt.Format(clock), c.refusedAt.Format(clock), c.refusal)
}

// refused notes why the client could not connect.
func (c *checker) refused(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusal, c.refusedAt = err, time.Now()
}

// count returns how many messages were heard.
func (c *checker) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.heard
}

// report returns what was wrong, and the first few details.
func (c *checker) report() (gaps, closes int, errs []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	errs = c.errs
	if len(errs) > 5 {
		errs = append(errs[:5:5], fmt.Sprintf("and %d more", len(c.errs)-5))
	}
	return c.gaps, c.closes, errs
}

// The checker finds what it is there for: a message that is missing and was
// accepted, comes twice, comes late, or was never published; and nothing else.
func TestChaosChecker(t *testing.T) {
	const gap, closed, anew = "gap", "closed", "anew"
	for _, c := range []struct {
		name  string
		heard []string
		errs  int
	}{
		{"all", []string{"0 1", "0 2", "1 1", "0 3"}, 0},
		{"begun in the middle", []string{anew, "0 7", "0 8"}, 0},
		{"missing at the beginning", []string{"0 1", "1 3"}, 2},
		{"missing", []string{"0 1", "0 3"}, 1},
		{"missing and told", []string{"0 1", gap, "0 3"}, 0},
		{"missing and told of another place", []string{gap, "0 1", "0 3"}, 1},
		{"missing after it was told", []string{"0 1", gap, "0 3", "0 5"}, 1},
		{"missing and never accepted", []string{"2 1", "2 3"}, 0},
		{"missing over a close", []string{"0 1", closed, "0 3"}, 1},
		{"missing before it began anew", []string{"0 1", anew, "0 3"}, 0},
		{"twice after it began anew", []string{"0 1", anew, "0 1"}, 1},
		{"twice", []string{"0 1", "0 1"}, 1},
		{"twice after a gap", []string{"0 1", gap, "0 1"}, 1},
		{"late", []string{"0 1", "0 2", "0 4", "0 3"}, 2},
		{"nobody's", []string{"", "x", "0", "0 x"}, 4},
	} {
		ch := newChecker(c.name, func(publisher, _ int) bool { return publisher < 2 })
		for _, h := range c.heard {
			switch h {
			case gap:
				ch.gap("")
			case closed:
				ch.closed()
			case anew:
				ch.anew()
			default:
				ch.hear(h, "")
			}
		}
		if _, _, errs := ch.report(); len(errs) != c.errs {
			t.Errorf("%s: %q, want %d errors", c.name, errs, c.errs)
		}
	}
}
