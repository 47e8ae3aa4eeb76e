// Package socket is the write path: a [Socket] sends to one client and never
// makes the sender wait.
//
// Nearly all that a delivery costs is the kernel's write, and waking a goroutine
// for it doubles that. So [Socket.Send] writes on the caller's goroutine,
// straight to the descriptor, and takes what the kernel takes. Only a connection
// that did not take everything gets a queue, and a goroutine that lives until
// the queue is empty. A connection without a descriptor of its own always takes the
// second path.
//
// With TLS the descriptor is the one below it: where [Secure] has made the
// connection, what is sent is joined, encrypted into a buffer of the sender's, and
// goes out by one write just the same. What waits, waits as it was sent, and
// shared; only what the kernel was offered and did not take is there encrypted, for
// every peer on its own. Other connections of TLS always take the second path.
//
// # Whole frames
//
// A write can stop in the middle of a frame, and control frames (pings, pongs,
// closes) come from other goroutines. Everything that leaves a Socket goes
// through its one lock, and what must not wait behind data is put at the next
// boundary between two frames.
//
// # Bounds
//
// A queue holds at most [Limits].Bytes and [Limits].Messages. What would exceed
// them is refused with [ErrSlow], and it is the sender's to decide: the hub ends
// such a connection with [Socket.CloseNow]. Or the sender has decided before: where a
// [Batch] has a Gap, the older half of what waits is dropped and the Gap sent in
// its place. The newest Batch stays, even beside a write under way that fills the
// bound alone; so the least that a queue takes up is one Batch and one write of 64 KiB.
//
// A peer that takes nothing for [Limits].WriteTimeout is disconnected, and counted by
// [Group.Stalled]. Taking is what its system acknowledges: one that reads slowly but
// steadily is kept. Where the system does not tell, which only Linux does, it is a
// write of 64 KiB that is done, and over HTTP/2, where the connection is not the peer's alone, a
// piece of 16 KiB.
//
// # Life
//
// A Socket is born corked: what is sent waits until [Socket.Uncork], so that a
// client can be subscribed before its handshake is answered. It ends with CloseAfterFlush
// or CloseNow, after which the reading side, whose owner calls Close, has a short time
// to see the peer's own end. That order lets the peer read the last bytes:
// closing a connection with unread input resets it, and a reset destroys what
// was sent before.
//
// # Concurrency
//
// All methods may be called concurrently. The goroutines of a [Group]'s Sockets
// are waited for with [Group.Wait].
package socket
