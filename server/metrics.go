package server

import (
	"maps"
	"net/http"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/metrics"
	"github.com/pregon/pregon/transport"
)

// checkFigures lets in keys, and whatever comes from this machine and surely from nowhere else.
func (s *Server) checkFigures(r *http.Request) error {
	x := exchangeOf(r)
	switch kind := x.caller.Identity().Kind; {
	case x.denied != nil:
		return x.denied
	case kind == transport.Backend, s.isLocal(r):
		return nil
	case kind == transport.Stranger:
		return s.refuse(r, unauthorized(s.figuresNeedKey(r), false), "the figures need a key where others than this machine can ask for them")
	}
	return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: s.figuresNeedKey(r)}, "the figures need a key, and this was a token")
}

// figuresNeedKey says why the figures need a key. Where the server is told that others come to it by way
// of a proxy or by a name, what comes from this machine may be theirs.
func (s *Server) figuresNeedKey(r *http.Request) string {
	switch {
	case len(s.options.TrustProxies) > 0:
		return "Metrics need a key, also from the server's own machine, as this server trusts a proxy (--trust-proxy); at a loopback address of --admin they need none."
	case exchangeOf(r).hosts.public():
		return "Metrics need a key, also from the server's own machine, as this server has a public name (--host); at a loopback address of --admin they need none."
	}
	return "Metrics need a key, but for programs on the server's own machine that ask at localhost, not through a proxy."
}

// metrics answers with the server's figures in the text format of Prometheus.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if err := s.checkFigures(r); err != nil {
		return err
	}
	s.figures.ServeHTTP(w, r)
	return nil
}

// snapshot returns the figures of one moment for /metrics.
func (s *Server) snapshot() metrics.Snapshot {
	now, hub, published := s.Stats(), s.hub.Stats(), s.node.Publications()
	stalled := s.sockets.Stalled()
	var ends time.Time
	if s.options.CertificateEnds != nil {
		ends = s.options.CertificateEnds()
	}
	return metrics.Snapshot{
		CertificateEnds: ends,
		Ready:           !s.leaving.Load() && s.hub.Ready() == nil,
		Connections:     s.connectionsOver(s.hub.SessionsOver()), ConnectionsLimit: s.options.MaxConnections, Waiting: now.Waiting, Channels: now.Channels, ChannelsLimit: s.options.Limits.Channels, Broker: s.brokerLink(),
		BodyBytes: s.bodies.used.Load(), BodyBytesLimit: s.bodies.most, QueueBytes: s.sockets.Waiting(),
		Members: now.Members, Nodes: now.Nodes, DifferentNodes: now.DifferentNodes,
		Published: published.Published, Repeated: published.Repeated, Refused: published.Refused, Failed: published.Failed, Unknown: published.Unknown,
		Heard: now.Heard, Unkept: now.Unkept, Rejected: now.Rejected, Gaps: s.hub.Gaps(), Fills: hub.Fills, Filled: now.Filled,
		Delivered: hub.Delivered, DeliveredBytes: hub.DeliveredBytes, DeliveryTimes: metrics.Times(s.hub.DeliveryTimes()), Recovered: hub.Recovered, NotRecovered: hub.NotRecovered,
		Disconnected: now.Disconnected - min(stalled, now.Disconnected), Stalled: stalled, CaughtUp: now.CaughtUp, Dropped: now.Dropped,
		Refusals: s.problems.byName(), BadTokens: s.badTokens.byReason(), RefusedConnections: now.RefusedConnections,
		RefusedPublications: now.RefusedPublications, RefusedBodies: now.RefusedBodies,
	}
}

// connectionsOver returns those of each transport, where over has those that are there.
func (s *Server) connectionsOver(over map[string]int) map[string]int {
	all := map[string]int{localName: 0}
	for name := range s.transports {
		all[name] = 0
	}
	maps.Copy(all, over)
	return all
}

// brokerLink returns how the broker's link is, nil where it says nothing of one.
func (s *Server) brokerLink() *metrics.Link {
	linked, ok := s.options.Broker.(broker.Linked)
	if !ok {
		return nil
	}
	now := linked.Link()
	return &metrics.Link{Up: now.Up, Restored: now.Restored}
}
