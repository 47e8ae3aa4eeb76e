package server

import "sync/atomic"

// otherName stands in figures for all names that are not counted apart.
const otherName = "other"

// nameCounts count how often something happened, by a name of a few.
type nameCounts struct {
	of    map[string]*atomic.Uint64 // not changed once it is made
	other atomic.Uint64
}

func newNameCounts(names []string) *nameCounts {
	c := &nameCounts{of: make(map[string]*atomic.Uint64, len(names))}
	for _, name := range names {
		c.of[name] = new(atomic.Uint64)
	}
	return c
}

// add counts what has a name.
func (c *nameCounts) add(name string) {
	if n := c.of[name]; n != nil {
		n.Add(1)
	} else {
		c.other.Add(1)
	}
}

// byName returns how many there were.
func (c *nameCounts) byName() map[string]uint64 {
	by := map[string]uint64{otherName: c.other.Load()}
	for name, n := range c.of {
		by[name] = n.Load()
	}
	return by
}
