// Package ws serves channels over WebSocket (RFC 6455).
//
// One text frame carries one message, or a binary frame where the message is
// binary; see the formats of package transport. The server pings; what a client
// sends is read, bounded and ignored.
//
// # Close codes
//
//	1000  the client closed                        may reconnect
//	1001  the server stops                         may reconnect
//	1002  the client broke the protocol            should not
//	1007  the client sent text that is not UTF-8,  should not
//	      or what cannot be decompressed
//	1008  the client sent too much, too fast       should not
//	1009  the client sent a message too large      should not
//	4001  messages may be missing (text and raw)   should reconnect
//	4002  the client did not answer pings          may reconnect
//	4003  the channel cannot be continued from     should reconnect
//	      since (text and raw)                     without since
//	4008  the client did not read fast enough      may reconnect
//	4009  the client's credential has expired      may reconnect with a new one
//	4010  a limit on connections was lowered, or   may reconnect later
//	      an operator has ended the connection
//	4100  the channel is not allowed any more,     must not
//	      or what the client may has changed
//
// Of the codes of our own, a client may come back after 4000 to 4099, and must not after 4100
// to 4199, whether it knows the code or not.
//
// # Compression
//
// Where [transport.Deps].Compress is set and the client offers permessage-deflate
// (RFC 7692), messages of some length are compressed: by themselves, without
// context takeover, so that one compression serves all clients of a channel and
// format, and no connection keeps a window. What such a client sends is bounded
// by its length after decompression, and so is what compression saves a second.
package ws
