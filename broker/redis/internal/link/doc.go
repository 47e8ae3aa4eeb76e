// Package link carries channels over a connection to one server, and makes the next one
// when it is lost.
//
// A [Feed] is a [broker.Feed]. Its channels go over one connection, which go-redis never
// makes again by itself: when it is lost it is thrown away as a whole, and the supervisor
// makes another, with a pause in between. Each channel is then reported in a
// [broker.GapError] as soon as Redis has confirmed it again, so that all that follows the
// gap is there. A channel that Redis no longer allows ends, and takes no other with it.
//
// What Redis sends is matched with what it was asked: by the ledger, which is the list of
// commands that are not yet answered. A confirmation that was not asked for means that
// something subscribed behind the Feed's back, and the connection counts as lost.
//
// A message that claims a position is believed only with proof; see package seal. One
// without it is dropped, and Options.Reject is told.
//
// Messages wait in a [broker.Queue], which bounds them: receiving never waits for a
// reader. A Feed runs one goroutine that keeps the connection and, while that stands, two
// more: one writes, one looks after silence. Close waits for them. One mutex guards the
// ledger and what the Feed carries; it is taken once per message, and never while
// something is sent or waited for.
//
// Errors match one of the sentinels of package broker, or are those of the caller's
// context, and repeat nothing that was sent or received.
//
//	feed.go       what a broker.Feed does, and waiting for Redis' answers
//	claim.go      what one call of Subscribe waits for, and what becomes of its channels
//	ledger.go     what was asked, and what was answered
//	link.go       one connection, from the attempt to its end
//	supervise.go  the next connection, and what is logged
package link
