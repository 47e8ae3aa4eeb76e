// Package metrics shows a server's figures to Prometheus. It is the only package that knows Prometheus' library.
//
// What does the work keeps plain counters, and a [Snapshot] of them becomes figures when somebody asks: a figure costs
// nothing until then, and the same counters serve the Go API. Only distributions cannot be had of a snapshot, so that they
// are observed as they happen, by plain functions such as [Metrics.RoundTrip].
//
// No label has a value that a client can choose: a channel, subject or address would make as many series as there are.
// Each Metrics has its own registry, so that a program can run several servers.
package metrics
