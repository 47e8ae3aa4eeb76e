// Package live serves clients that converse over WebSocket: over one connection they subscribe and
// unsubscribe channels, publish, ask who is there and renew their credential.
//
// README.md of package transport says what goes over the wire; asyncapi.json describes each frame, and
// testdata/live has conversations. This is how it is done:
//
//   - live.go answers the handshake, welcomes the client, or tells it why it may not come in.
//   - conn.go reads frames, and has commands wait in the queue until they may begin.
//   - fields.go and parse.go read a command: strictly, so that a mistake is not passed over.
//   - queue.go says which commands may begin, and knows nothing of what they do.
//   - do.go does them, through the request's [transport.Client] and its [transport.Session].
//   - answer.go and control.go make what the client is told of its own. Messages, gaps and presence are
//     the hub's, in the encoding that /ws has for the format json, too.
//
// # Order
//
// Commands on one channel begin in the order in which they came, each when the one before is done.
// Those on others overtake them. Publications that wait are handed over together, one call at a time: while
// one is under way the next ones gather, so the busier the connection the more go in one call. A renew is
// alone. A subscribe is done when the broker has confirmed the channel; its answer, where the history has to be
// read first, may come later, and an unsubscribe that comes ahead of it answers both.
//
// # Bounds
//
//   - 64 commands of a connection wait, or as many bytes of messages as the longest has, and one more. Then nothing is read,
//     and the connection counts as heard from, as its pongs are not read either. A command takes at most 5 s,
//     unless its answer has many pages.
//   - A frame has at most twice the longest message and 64 KiB, and comes within 30 s. All
//     clients together have 64 MiB for frames that are being read and messages that wait, beside the first 4 KiB of
//     each. Where these are used up a frame is thrown away, and answered with too_many_bodies.
//   - 1,000 commands may fail at once by the client's doing (4xx), and then 100 a second. Pings and pongs are bounded as
//     on /ws. So are bytes, by the longest frame a second, but for those of commands that are done: what waits
//     bounds these, and the rates of the node. What compression saves is bounded by eight times as much a second.
//   - An answer that the client does not read counts as a message that it does not read: it is closed as too slow.
//   - 64 clients are being refused at a time; the others get the answer that HTTP has.
//
// # Ends
//
// What was being published when the connection ended is published, and Wait waits for it. All else is
// given up. Nothing is done for a client that was sent away.
package live
