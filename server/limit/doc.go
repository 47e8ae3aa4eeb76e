// Package limit bounds how much one caller may do, so that no caller takes what is there for
// all. Each node counts for itself.
//
//   - [Rates] bound how fast callers publish: a bucket of tokens for each caller, and each
//     rule or key that has a rate of its own.
//   - [Counts] bound how much of something callers have at a time, such as connections.
//
// A caller without a name is known by its address: see [AddressOf], which is what the peer's
// connection says unless a proxy is trusted to know better, and [Network], since whoever has
// one IPv6 address has 2^64 of them.
//
// # Concurrency properties
//
// All methods may be called concurrently. None waits.
package limit
