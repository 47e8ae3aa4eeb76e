package node

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/access"
	"github.com/pregon/pregon/server/limit"
	"github.com/pregon/pregon/transport"
)

// Limits bound what single callers do at this node, keys excepted. Zero values are no limits.
type Limits struct {
	PublishRate access.Rate // of each subject, or each network where there is none

	Listeners int // sessions and watches of each network
}

// ErrListeners means that a network has as many listeners as it may. Nothing was done.
var ErrListeners = errors.New("node: a network has as many listeners as it may")

// A limiter counts what callers do.
type limiter struct {
	limits    atomic.Pointer[Limits]
	rates     limit.Rates
	listeners limit.Counts

	tooFast, refused atomic.Uint64
}

// SetLimits has other limits count from now on. Who is beyond them already stays.
func (n *Node) SetLimits(l Limits) { n.limiter.limits.Store(&l) }

// Listeners returns how many listeners a network has.
func (n *Node) Listeners(network limit.Prefix) int { return n.limiter.listeners.Of(network) }

// Limited returns how many publications and how many listeners were refused because their
// callers were beyond a limit.
func (n *Node) Limited() (publications, listeners uint64) {
	return n.limiter.tooFast.Load(), n.limiter.refused.Load()
}

// keyUse marks the bucket of a key, which no channel is called.
const keyUse = "\x00key"

// charge counts n messages that the caller publishes to channels of one rule, or returns an
// error that matches limit.ErrTooFast.
func (c *Client) charge(rule *access.Rule, n int) error {
	var space [2]limit.Bucket // most have none, and none has more
	buckets := c.buckets(space[:0], rule)
	if len(buckets) == 0 {
		return nil
	}
	if err := c.node.limiter.rates.Take(n, buckets...); err != nil {
		c.node.limiter.tooFast.Add(uint64(n))
		return fmt.Errorf("node: %w", err)
	}
	return nil
}

// buckets appends those that the caller's publications in channels of a rule are taken from.
func (c *Client) buckets(to []limit.Bucket, rule *access.Rule) []limit.Bucket {
	identity := c.caller().Identity()
	if identity.Kind == transport.Backend {
		if rate := c.caller().Rate(); !rate.IsZero() {
			to = append(to, limit.Bucket{Of: limit.Caller{Name: identity.Key}, For: keyUse, Rate: rate})
		}
		return to
	}
	of := limit.Caller{Name: identity.Subject}
	if of.Name == "" {
		of.Network = limit.Network(c.from)
	}
	if rate := c.node.limiter.limits.Load().PublishRate; !rate.IsZero() {
		to = append(to, limit.Bucket{Of: of, Rate: rate})
	}
	if rule != nil && !rule.Rate.IsZero() {
		to = append(to, limit.Bucket{Of: of, For: rule.Channels[0], Rate: rule.Rate})
	}
	return to
}

// chargeEach is charge for messages of which each passes or not by itself. It leaves out those
// with a result.
func (c *Client) chargeEach(rules []*access.Rule, results []broker.Result) {
	for i, rule := range rules {
		if results[i].Err == nil {
			results[i].Err = c.charge(rule, 1)
		}
	}
}

// chargeTogether is charge for messages that are published together: those of one rule pass
// together, or none of them does. It leaves out those with a result.
func (c *Client) chargeTogether(rules []*access.Rule, results []broker.Result) {
	counts := map[*access.Rule]int{}
	for i, rule := range rules {
		if results[i].Err == nil {
			counts[rule]++
		}
	}
	refused := map[*access.Rule]error{}
	for rule, n := range counts {
		refused[rule] = c.charge(rule, n)
	}
	for i, rule := range rules {
		if results[i].Err == nil {
			results[i].Err = refused[rule]
		}
	}
}

// CheckRoom returns ErrListeners where the caller's network has as many listeners as it may,
// without counting one.
func (c *Client) CheckRoom() error {
	most, network := c.node.limiter.limits.Load().Listeners, limit.Network(c.from)
	if most > 0 && c.caller().Identity().Kind != transport.Backend && c.node.limiter.listeners.Of(network) >= most {
		return ErrListeners
	}
	return nil
}

// listen counts the caller among the listeners of its network, until end is called, which
// may be called again; or it returns ErrListeners. Where there is no limit, and for keys,
// nothing is counted, and end is nil.
func (c *Client) listen() (end func(), err error) {
	most, network := c.node.limiter.limits.Load().Listeners, limit.Network(c.from)
	if most == 0 || !network.IsValid() || c.caller().Identity().Kind == transport.Backend {
		return nil, nil
	}
	listeners := &c.node.limiter.listeners
	if !listeners.Acquire(network, most) {
		c.node.limiter.refused.Add(1)
		return nil, ErrListeners
	}
	return sync.OnceFunc(func() { listeners.Release(network) }), nil
}
