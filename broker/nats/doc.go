// Package nats is a broker on NATS (https://nats.io), by its core publish and subscribe, and with a history by
// JetStream.
//
//	nats://[user:password@]host[:port][,host[:port]…][?parameters]
//
// Parameters are creds (a credentials file), nkey (a file with the seed of an NKEY), tls=true, ca (a
// PEM file, and TLS), prefix (put before every subject), lossy=1 (see What is promised), and history and history-size of
// [broker.ParseRetention]. With a history also storage (file, the default, or memory), replicas (on how many
// servers it is kept, 1 by default) and subjects (see Subjects).
//
// # Subjects
//
// A channel is the subject of the same name: what nats pub chat hola publishes is heard in chat, and
// room.1 and a/b are subjects as they are. What cannot stand in a subject is percent-encoded: see
// subjectOf. Nothing else is read of a subject: a Feed knows by which subscription a message came.
//
// With a history a channel's subject must be one that the stream stores. With the prefix rt. that is
// rt.>, so room.1 is rt.room.1. Without a prefix it is *, all subjects of one token: no stream
// can have all subjects there are, as NATS' own are among them. Then subjects=room.>,news.* adds those of
// several tokens, and of any other channel the dots are encoded: user.1 is user%2E1.
//
// # What is promised
//
// On one server: every message once, in the order of its publisher, and a gap wherever the link of the
// subscription was lost, also where it went silent.
//
// Not in a cluster. There a server confirms a subscription before the other servers know of it, and a
// route between servers that is lost loses messages without a word to any client. Nothing that a client
// can see tells of either. So a cluster is refused with ErrDenied, unless a history is kept by three of its servers or
// more: see Clusters. With lossy=1 one is taken as it is, and [Broker.NotPromised] says what that means. What holds
// then: what is heard comes once, in the order of its publisher, and a link of a node to its server that was lost is a gap.
//
// # History
//
// One stream keeps all channels. It is called PREGON, or PREGON_rt with the prefix rt., and is made where there
// is none. One that differs from what the URL asks for is an error that names what differs: a node changes no
// stream. It needs NATS 2.11.
//
// The server sends on what it has stored (RePublish), to the subject of the channel behind _PREGON. and the
// stream's name, where Feeds hear it with its number and that of the message before it in the channel. So
// nobody has to count, a message is kept before it is heard, and what other programs publish to the
// channel has its place as everything has. A program that may publish behind _PREGON. can forge places; nobody needs
// the permission to.
//
// A Position has the number in the stream. The message before may have expired: then the stream does
// not know it, and it is what the link has heard last, as a link that stands misses nothing. [Broker.Keep] of a channel
// whose newest message will expire stores a note with its number, on a subject of its own. Without one, the channel is
// forgotten as a whole when that message has expired: nothing is complete behind it, and it goes on in its epoch,
// as numbers are never given twice. The stream keeps a quarter longer than it was told, so that notes are rare.
//
// A Message.Key is the stream's Nats-Msg-Id, with the subject, for the time of the history. So keys outlive what an
// operator purges, which is why there is no broker.Clearer; and as a stream keeps the same of all subjects there is
// no broker.Retainer.
//
// A stream is read forwards. The newest messages of a channel are found by asking how many there are from some numbers
// on, eight at a time, which takes two or three round trips and never more than about twenty.
//
// # Epochs
//
// An epoch begins with a message on the subject %epoch, which never expires: when the stream is new, and when its
// server may have lost its end. A server that is killed loses nothing that is in its files; one that loses its power
// may, unless it has sync_interval: always, and then numbers are given twice. A node that was there
// knows the newest number that was acknowledged to it, or that it has heard. When it finds the server started
// again, which has another id then, it looks whether that message is there. If so, it writes %run, and the epoch goes on for all
// nodes; if not, or where no node was there, an epoch begins. What is kept in memory is gone with
// the server, and %epoch with it.
//
// # Clusters
//
// With replicas=3 and a history the servers may be a cluster, each of which keeps the stream. One leads: it stores, acknowledges
// once most have it, and sends on. A Feed's Subscribe returns when the leader has acknowledged a message of its own, %mark, behind the
// subscription, as its server then knows of that. What the leader has acknowledged is there when servers are
// killed, one at a time. A link asks every Heartbeat who leads; when that is another one it is given up, and a gap is told, as the old
// leader may not have sent on what it stored last. A reader first waits until the server that it asks has all
// that the leader has.
//
// A route between two servers that is lost for a moment loses what was on it. No client sees that; the next message of the
// channel shows it, as it follows another one, and without a next one a node does, which compares its place with
// Newest every half minute. So nothing is lost for good, and a message may be late by that.
//
// # What is not covered
//
// Another node may have been acknowledged more than the one that looks first. It notices when it
// looks itself, some tenths of a second later, and begins an epoch then; in between a number may
// stand for two messages.
//
// # Outcomes
//
// A server acknowledges no publication. It answers a PING behind what came before, so a publication is
// accepted when the PONG behind it has come; where the connection is lost before, its outcome is
// ErrUncertain. That a subject is not allowed the server says ahead of the PONG. Publications that wait
// for a PONG share the next one. With a history each publication is acknowledged when it is stored.
//
// The client library's own reconnecting is not used: it tells of a lost link on another goroutine than
// the messages, so that nobody could say where in their stream the gap is.
//
//	nats.go      the Broker
//	options.go   its settings, and what of them cannot be
//	url.go       its URL
//	dial.go      connections, and what a server refuses on them
//	publish.go   publications, many behind one PING
//	feed.go      a Feed, and what it carries
//	link.go      one connection of a Feed
//	subject.go   channels and subjects
//	longest.go   how long messages may be
//	lossy.go     what a cluster does not promise
//	diagnose.go  what the doctor asks
//
// and of the history:
//
//	names.go     subjects of the stream
//	stream.go    the stream, made or checked
//	epoch.go     its epochs
//	ask.go       many questions in one round trip
//	session.go   a connection that knows the epochs, to publish and read by
//	live.go      what a link hears
//	history.go   Newest, Keep and Probe
//	reader.go    the connection for reading
//	pager.go     pages behind a position
//	backwards.go pages of the newest messages
//	cluster.go   what is more where several servers keep the stream
package nats
