package nats

import "github.com/pregon/pregon/broker"

var _ broker.Lossy = (*Broker)(nil)

// notPromised is what a cluster does not promise that keeps no history: see the package's documentation.
const notPromised = "Messages may be lost without a word to anybody: those between two servers of the broker's cluster, where the route between them is lost, and the first ones of a channel that a node has just subscribed."

// NotPromised implements broker.Lossy.
func (b *Broker) NotPromised() string {
	if b.opts.loses.Load() {
		return notPromised
	}
	return ""
}

// enterCluster says whether a server may be used that is one of a cluster.
func (o Options) enterCluster() error {
	switch {
	case o.clustered():
	case o.Lossy:
		o.loses.Store(true)
	default:
		return errCluster
	}
	return nil
}

// cluster says what a server's cluster means, where Lossy lets it be one.
func (s *session) cluster() broker.Finding {
	if s.ConnectedClusterName() == "" {
		return broker.Finding{Severity: broker.SeverityOK, Subject: "cluster", Detail: "The server is in no cluster, so every loss is told, and lossy=1 in the URL is not needed.",
			Advice: "Leave lossy=1 away: then a cluster is refused, should it become one."}
	}
	return broker.Finding{Severity: broker.SeverityWarning, Subject: "cluster", Detail: notPromised,
		Advice: "Have three servers keep a history (?history=5m&replicas=3, without lossy=1), or use one server."}
}
