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
//	:                         a comment that keeps the connection alive
//
// LF, CR and CRLF all end a line in the stream, so each of them in a payload
// begins another data line, and EventSource puts them together again with LF.
// Nothing else of a payload is changed.
//
// The stream has no end of its own: it lasts until either side closes the
// connection, and EventSource then comes back after the time that the first
// block, retry, has told it.
//
// # Coming back
//
// EventSource keeps the last id and sends it as Last-Event-ID when it comes back,
// so a page continues where it was without a line of code. The first block has an
// id already, so that it does even if it lost its connection before the first
// message; in a channel that had none until then it is told that it was not
// recovered, as nothing proves that. As the header cannot be changed by the page,
// the server answers whatever is in it with a stream: EventSource gives up for good
// after any error status. An id is the cursor of
// one channel; a stream of several channels continues in that one, and is told of
// the others that they were not recovered.
package sse
