// Package sse serves channels as server-sent events, the event stream that
// browsers read with EventSource (WHATWG HTML, section 9.2).
//
// # What a client reads
//
//	data: Hola                a message; a line of the payload each
//
//	event: binary             a binary message in base64 (raw and text)
//	data: AAEC/w==
//
//	id: 5Kj0…                 before the data of every message that has a cursor
//
//	event: gap                messages may be missing here
//	data: {"type":"gap","channel":"chat","reason":"link-lost"}
//
//	event: subscribed         whether the channel is continued from where was asked
//	data: {"type":"subscribed","channel":"chat","id":"5Kj0…","recovered":true}
//
//	event: start              the first id of a stream, where there is a history
//	id: 5Kj0…
//	data: {"type":"start","channel":"chat","id":"5Kj0…"}
//
//	event: members            who is in a channel, and what changes: see transport.Presence;
//	event: presence           in the format json only
//
//	:                         a comment that keeps the connection alive
//
// LF, CR and CRLF all end a line in the stream, so each of them in a payload
// begins another data line, and EventSource puts them together again with LF.
// Nothing else of a payload is changed.
//
// Some clients (@microsoft/fetch-event-source) dispatch a message at every blank line,
// so there is none without data before it: not after a comment, and not after retry,
// with which a stream begins.
//
// # How a stream ends
//
// The stream has no end of its own: it lasts until either side closes the connection.
// EventSource then comes back after the time that retry has told it. The same client
// as above takes a stream that has ended well for the last one, and comes back only
// from an error. So over HTTP/1.1 a stream is sent in chunks, and the last chunk, which
// would make it complete, is never sent: all clients come back from that. HTTP/1.0 has
// nothing like it. Where the connection cannot be taken over from net/http, over HTTP/2 or
// behind a middleware that hides http.Hijacker, the stream is written to the
// http.ResponseWriter, and cut at its end by a deadline that has passed.
//
// It ends without a word on why, also where the client's credential has expired or it may not hear
// its channels any more: EventSource comes back, and is answered with the status 401 or 403,
// after which it gives up.
//
// EventSource gives up for good after any status but 200 (WHATWG HTML, section 9.2.3).
// So where a client may come back, as while the server stops or has no room, it is not
// answered with the status but with a stream of retry and a comment that says why, which
// is cut at once: see [Transport.Retry]. Such a stream opens, though nothing is
// subscribed. A status is for what can never work.
//
// # Coming back
//
// EventSource keeps the last id and sends it as Last-Event-ID when it comes back,
// so a page continues where it was without a line of code. Clients that cannot set
// a header give it in the query, as lastEventId. The stream begins with an
// id already, so that a client continues even if it lost its connection before the first
// message; in a channel that had none until then it is told that it was not
// recovered, as nothing proves that. As the page cannot change the id, whatever is in it
// is answered with a stream. An id is the cursor of
// one channel; a stream of several channels continues in that one, and is told of
// the others that they were not recovered.
//
// # Clients that use fetch
//
// Programs that read the stream by fetch see the status of an answer and can send a body: they
// name their channels in that of a POST, each with where to begin in it, and get a status for
// whatever is wrong, also where they may come back. Each channel is answered by an event
// subscribed, with its id among the data and with recovered where the client continues; Last-Event-ID
// counts for nothing there, and there is no event start.
package sse
