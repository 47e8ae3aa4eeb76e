package server

import (
	"github.com/pregon/pregon/transport"
)

// countedCodes are the codes of problems of which each is counted apart: an operator acts on each in
// another way. The others are requests in a form that is none, and the codes of hooks and transports, of which there could
// be any number.
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
type problemCounts struct{ *nameCounts }

func newProblemCounts() *problemCounts { return &problemCounts{newNameCounts(countedCodes)} }

// count counts p, and returns it.
func (c *problemCounts) count(p *transport.Problem) *transport.Problem {
	c.add(p.Code)
	return p
}
