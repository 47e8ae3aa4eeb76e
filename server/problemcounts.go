package server

import (
	"sync/atomic"

	"github.com/pregon/pregon/transport"
)

// otherProblem stands in figures for all codes that are not countedCodes: requests in a form that is
// none, and the codes of hooks and transports, of which there could be any number.
const otherProblem = "other"

// countedCodes are the codes of problems of which each is counted apart: an operator acts on each in
// another way.
var countedCodes = []string{
	// who may what
	"unauthorized", "forbidden", "issuer_unavailable", "two_credentials", "other_subject", "bad_member", "no_presence",
	"origin_not_allowed", "host_not_allowed", "open_behind_proxy",
	// limits
	"too_many_connections", "too_many_channels", "too_many_bodies", "too_many_messages", "too_fast", "too_large", "body_too_slow",
	// the server and its broker
	"draining", "broker_unavailable", "broker_denied", "not_subscribed", "outcome_unknown", "partly_published", "internal",
}

// problemCounts count what callers were told instead of an answer, by code.
type problemCounts struct {
	of    map[string]*atomic.Uint64 // by countedCodes; not changed once it is made
	other atomic.Uint64
}

func newProblemCounts() *problemCounts {
	c := &problemCounts{of: make(map[string]*atomic.Uint64, len(countedCodes))}
	for _, code := range countedCodes {
		c.of[code] = new(atomic.Uint64)
	}
	return c
}

// count counts p, and returns it.
func (c *problemCounts) count(p *transport.Problem) *transport.Problem {
	if n := c.of[p.Code]; n != nil {
		n.Add(1)
	} else {
		c.other.Add(1)
	}
	return p
}

// byCode returns how many there were.
func (c *problemCounts) byCode() map[string]uint64 {
	by := map[string]uint64{otherProblem: c.other.Load()}
	for code, n := range c.of {
		by[code] = n.Load()
	}
	return by
}
