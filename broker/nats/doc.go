// Package nats is a broker on NATS (https://nats.io), by its core publish and subscribe.
//
//	nats://[user:password@]host[:port][,host[:port]…][?parameters]
//
// Parameters are creds (a credentials file), nkey (a file with the seed of an NKEY), tls=true, ca (a
// PEM file, and TLS) and prefix (put before every subject).
//
// # Subjects
//
// A channel is the subject of the same name: what nats pub chat hola publishes is heard in chat, and
// room.1 and a/b are subjects as they are. What cannot stand in a subject is percent-encoded: see
// subjectOf. Nothing else is read of a subject: a Feed knows by which subscription a message came.
//
// # What is promised
//
// On one server: every message once, in the order of its publisher, and a gap wherever the link of the
// subscription was lost, also where it went silent.
//
// Not in a cluster. There a server confirms a subscription before the other servers know of it, and a
// route between servers that is lost loses messages without a word to any client. Nothing that a client
// can see tells of either. So a cluster is refused with ErrDenied. Nor is there a history.
//
// # Outcomes
//
// A server acknowledges no publication. It answers a PING behind what came before, so a publication is
// accepted when the PONG behind it has come; where the connection is lost before, its outcome is
// ErrUncertain. That a subject is not allowed the server says ahead of the PONG. Publications that wait
// for a PONG share the next one.
//
// The client library's own reconnecting is not used: it tells of a lost link on another goroutine than
// the messages, so that nobody could say where in their stream the gap is.
//
//	nats.go      the Broker
//	url.go       its URL
//	dial.go      connections, and what a server refuses on them
//	publish.go   publications, many behind one PING
//	feed.go      a Feed, and what it carries
//	link.go      one connection of a Feed
//	subject.go   channels and subjects
package nats
