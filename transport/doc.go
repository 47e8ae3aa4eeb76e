// Package transport is the contract of the wire protocols over which clients
// listen, such as WebSocket and server-sent events.
//
// A [Transport] turns an HTTP request into a connection that hears channels. It
// takes plain net/http, joins by the [Client] of the request, and leaves the sending to
// the hub behind it:
//
//   - A [Format] says what a client reads of a message: text, raw or json.
//   - An [Encoding] is a Format as one protocol frames it. The hub encodes a
//     message once per Encoding and sends the same bytes to everyone who uses it.
//   - A [socket.Socket] takes those bytes without ever making the hub wait.
//
// # Open means subscribed
//
// A Transport whose channels are in the request subscribes before it answers:
// [Session].Subscribe returns once the broker has confirmed the channels; what is
// published from then on waits in the Socket until the protocol's own answer (the 101,
// the event stream's headers) is out. Channels that come and go later are answered by
// [Subscription].Answer, which is ahead of the channel's first message.
//
// # Connections
//
// A Transport takes the connection over from net/http, if [CheckHijack] lets it, or writes
// to the ResponseWriter by a [Stream]. The first costs less memory for each client, and is
// all that some protocols can do; the second also works over HTTP/2.
//
// # What is shared and what is not
//
// Messages and gaps are the same bytes for all clients of a format: they are encoded once,
// by an [Encoding]. Pings, closing frames and answers are one client's own: see [Control],
// [Subscription] and [Session].Say.
//
// # One door
//
// The [Client] that comes with each request ([SubscribeRequest]) is all that a Transport can do with
// channels: join, publish, read the history, wait for news. There is no other way, so
// what a caller may not do, no Transport can do for it.
//
// # Where a client starts
//
// With a history a client may begin before the present: a [Start] says where,
// by the cursor of the last message that it has, or by how many it wants. The
// hub feeds it from the history until it is level, and tells it first whether
// anything is missing ([Subscribed]). Clients whose Format cannot express that
// are closed with [CloseUnrecovered].
//
// # Clients that give up
//
// Some clients take an error status for the last word. Their Transport is a [Retrier],
// and the server leaves to it every answer after which a client may come back.
//
// # Registry
//
// Protocols register themselves as brokers do: a blank import makes one known,
// and the server mounts each at /{name} and /{name}/{channel}. A program that embeds the
// server may leave some out and add its own.
//
// A [Router] has more addresses below its name, and other methods. What can be set for a
// Transport are its [Settings], by its name: for one called lines, the environment's
// PREGON_LINES_MAX_LINES is max-lines.
package transport
