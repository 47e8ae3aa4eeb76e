// Package websocket is what the protocols over WebSocket (RFC 6455) share: the handshake, the
// reading of what clients send, frames and close codes, compression, and the encodings of
// messages.
//
// An [Encoding] is one value for each format, whatever the protocol: so clients of different
// protocols which read the same format share each encoded message.
//
// # Division of labour
//
// gorilla/websocket does the handshake and the parsing of what clients send. It
// is given a connection whose writes go through a [socket.Socket], as do
// the hub's, so frames of both never mix. Its own writers are not used: they
// encode every message for every client.
package websocket
