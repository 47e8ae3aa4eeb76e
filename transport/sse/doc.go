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
//	event: gap                messages may be missing here
//	data: {"type":"gap","channel":"chat","reason":"link-lost"}
//
//	:                         a comment that keeps the connection alive
//
// LF, CR and CRLF all end a line in the stream, so each of them in a payload
// begins another data line, and EventSource puts them together again with LF.
// Nothing else of a payload is changed.
//
// The stream has no end of its own: it lasts until either side closes the
// connection, and EventSource then comes back after the time that the first
// event, retry, has told it.
package sse
