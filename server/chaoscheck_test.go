package server_test

import (
	"fmt"
	"sync"
)

// A checker is what one client has heard, beside what it must hear. Messages are
// "publisher number"; each publisher counts from 1.
type checker struct {
	name     string
	accepted func(publisher, n int) bool // a number that was not may be missing

	mu     sync.Mutex
	last   map[int]int // by publisher, the newest number heard
	gaps   int         // told so far
	seen   map[int]int // by publisher, gaps told before the newest number
	errs   []string
	closes int // connections that the server ended
}

func newChecker(name string, accepted func(publisher, n int) bool) *checker {
	return &checker{name: name, accepted: accepted, last: map[int]int{}, seen: map[int]int{}}
}

// hear checks one message: new, in order, and with nothing missing before it that
// was not told.
func (c *checker) hear(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var publisher, n int
	if _, err := fmt.Sscanf(text, "%d %d", &publisher, &n); err != nil {
		c.fail("heard %q, which nobody published", text)
		return
	}
	last, known := c.last[publisher]
	switch {
	case n <= last:
		c.fail("heard %d of publisher %d after %d", n, publisher, last)
		return
	case known && c.gaps == c.seen[publisher]:
		for missing := last + 1; missing < n; missing++ {
			if c.accepted(publisher, missing) {
				c.fail("%d of publisher %d is missing between %d and %d, and no gap was told", missing, publisher, last, n)
			}
		}
	}
	c.last[publisher], c.seen[publisher] = n, c.gaps
}

// gap notes that the client was told that something may be missing.
func (c *checker) gap() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gaps++
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

func (c *checker) fail(format string, args ...any) {
	c.errs = append(c.errs, fmt.Sprintf(format, args...))
}

// has reports whether the client has heard all up to what ends says.
func (c *checker) has(ends map[int]int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for publisher, n := range ends {
		if c.last[publisher] < n {
			return false
		}
	}
	return true
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
