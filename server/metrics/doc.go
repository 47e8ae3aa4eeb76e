// Package metrics shows a server's figures to Prometheus. It is the only package that knows Prometheus' library,
// and so it also reads what another server shows: see [Read].
//
// What does the work keeps plain counters, and a [Snapshot] of them becomes figures when somebody asks: a figure costs
// nothing until then, and the same counters serve the Go API. A distribution is observed
// as it happens: that of deliveries by the workers, each in counters of its own, which a Snapshot adds up, and that of
// publications, which are few beside them, by [Metrics.RoundTrip].
//
// No label has a value that a client can choose: a channel, subject or address would make as many series as there are.
// Each Metrics has its own registry, so that a program can run several servers.
package metrics
