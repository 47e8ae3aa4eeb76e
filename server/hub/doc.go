// Package hub is the fan-out engine: it hears every channel that somebody on
// this node wants, once, and hands each message to all who want it.
//
// # The path of a message
//
//	broker feed ─▶ reader ─▶ inbox of each worker ─▶ write to each subscriber
//	               encode      join what waits         one call, no waiting
//
// The reader turns a message into bytes once per [transport.Encoding] and gives
// the same bytes to every worker that has subscribers for it. A worker takes all
// that waits in its inbox, joins the frames of one channel and encoding into one
// slice, and sends that slice to every subscriber: K messages for N subscribers
// cost N system calls when they come faster than they can be sent one by one.
// There is no queue and no goroutine a subscriber; see package socket.
//
// Each session belongs to one worker for life. That alone keeps the order of
// its messages. There is no order between channels.
//
// # Interest
//
// Which channels the feed carries is decided by one goroutine that compares what
// is wanted with what is there, in batches. A channel whose last subscriber left
// stays for a while, so that a reload of a page costs the broker nothing. No
// other goroutine adds or removes channels, so joins and leaves cannot race.
//
// # Gaps
//
// Where the broker says that messages may be missing, each subscriber of the
// channel is told at that very place. Those whose encoding has no words for it
// hear nothing more and are ended with [transport.EndGap], a bounded number a
// second, so that they do not all come back at once.
//
// # Concurrency
//
// All methods of a Hub may be called concurrently. A Hub owns the goroutines of
// its reader, its reconciler, its heartbeat and its workers, and Close waits for
// them. The only lock shared by joins and the reader is held for map look-ups.
// Inboxes are bounded: where a worker falls behind, the reader waits for it, and
// the broker's own queue fills until it reports a gap. A worker never waits for
// a client.
package hub
