package limit

import "sync"

// Counts count what callers have, such as connections, by network. The zero value is ready
// for use.
type Counts struct {
	mu sync.Mutex
	of map[Prefix]int
}

// Acquire counts one more for a network, unless it has most already; it reports whether it
// did. Where most is 0 there is no limit; what has no address is never counted.
func (c *Counts) Acquire(of Prefix, most int) bool {
	if !of.IsValid() {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.of[of] >= most {
		return false
	}
	if c.of == nil {
		c.of = map[Prefix]int{}
	}
	c.of[of]++
	return true
}

// Release takes an Acquire back that counted.
func (c *Counts) Release(of Prefix) {
	if !of.IsValid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of[of]--; c.of[of] <= 0 {
		delete(c.of, of)
	}
}

// Of returns how many a network has.
func (c *Counts) Of(network Prefix) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.of[network]
}
