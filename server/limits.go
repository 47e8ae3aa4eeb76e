package server

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"time"

	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/server/limit"
	"github.com/pregon/pregon/server/node"
	"github.com/pregon/pregon/transport"
)

// Limits are what single callers may have at this node, beside what all of them may have
// together. Zero values are no limits. Keys are not bounded by them.
type Limits struct {
	// ConnectionsPerAddress is how many connections come from one address, or from one /64
	// of IPv6, those that wait for a request included. Behind a proxy of
	// Options.TrustProxies those of its clients are counted that listen.
	ConnectionsPerAddress int
	// Channels is how many channels one connection has.
	Channels int
	// PublishRate is how fast each subject publishes, or each address where there is none.
	PublishRate access.Rate
}

func (l Limits) check() error {
	if l.ConnectionsPerAddress < 0 || l.Channels < 0 || l.PublishRate.Events < 0 || l.PublishRate.Events > 0 && l.PublishRate.Per <= 0 {
		return fmt.Errorf("%w: a limit makes no sense", ErrOptions)
	}
	return nil
}

// node returns the limits that the node knows of.
func (l Limits) node() node.Limits {
	return node.Limits{PublishRate: l.PublishRate, Listeners: l.ConnectionsPerAddress}
}

// addressOf returns where r comes from, as far as that can be believed.
func (s *Server) addressOf(r *http.Request) netip.Addr {
	return limit.AddressOf(r, s.options.TrustProxies)
}

// limitProblem returns the answer to a caller that is beyond a limit, nil where err has
// another cause.
func limitProblem(err error) *transport.Problem {
	var fast *limit.TooFastError
	switch {
	case errors.As(err, &fast) && fast.RetryAfter == 0:
		return &transport.Problem{Status: http.StatusTooManyRequests, Code: "too_fast",
			Detail: "These are more messages at once than this caller may ever publish at once; send fewer."}
	case errors.As(err, &fast):
		return &transport.Problem{Status: http.StatusTooManyRequests, Code: "too_fast", RetryAfter: wholeSeconds(fast.RetryAfter),
			Detail: "This caller publishes faster than it may; nothing was published."}
	case errors.Is(err, node.ErrListeners):
		return crowded()
	case errors.Is(err, transport.ErrSubscribed):
		return &transport.Problem{Status: http.StatusConflict, Code: "already_subscribed", Detail: "This connection hears the channel already."}
	case errors.Is(err, hub.ErrChannels):
		return badRequest("too_many_channels", "This is more channels than one connection may have.")
	}
	return nil
}

// crowded is the answer to a caller from an address that has enough connections.
func crowded() *transport.Problem {
	return &transport.Problem{Status: http.StatusTooManyRequests, Code: "too_many_connections", RetryAfter: 5,
		Detail: "This address has as many connections as it may.", Header: http.Header{"Connection": {"close"}}}
}

// wholeSeconds returns d in seconds, rounded up.
func wholeSeconds(d time.Duration) int { return int(math.Ceil(d.Seconds())) }
