// Package redis is the driver for Redis and for servers that speak its protocol.
//
// Importing it registers the URL schemes
//
//	redis://[[user]:password@]host[:port][/db][?prefix=…]
//	rediss://[[user]:password@]host[:port][/db][?prefix=…&ca=/path/ca.pem]
//	unix://[[user]:password@]/path/to/redis.sock[?db=…&prefix=…]
//
// The port is 6379 and the database 0 unless the URL says otherwise. In the user
// and the password the characters @ : / ? # and % are written percent-encoded, as
// %40 %3A %2F %3F %23 and %25. A password without a user is written with the
// colon: redis://:secret@host. rediss is TLS; the certificate must be valid for
// the host, by the system's roots or by those in the PEM file ca. There is no
// falling back to plain text. prefix is put before every channel name on Redis;
// it is empty by default, so that PUBLISH chat hello of any program is heard on
// the channel chat.
//
// [New] takes the same settings as typed [Options].
//
// # Publishing
//
// A message is one PUBLISH, in the form of [broker.AppendWire]. It is sent once:
// nothing here and nothing below repeats it.
//
// One pipeline is under way at a time. Who finds none sends at once; what others
// publish meanwhile goes together in the next, which is bounded. Some thousand
// callers wait in a queue and the others for a place in it, all no longer than
// their contexts and [Options.Timeout] allow. A message whose caller gave up before
// it was written is not sent, and each caller gets the answer to its own.
//
// Errors match
//
//   - [broker.ErrUnavailable]: Redis could not be reached, or said that it cannot
//     work now (LOADING, OOM, READONLY and the like);
//   - [broker.ErrDenied]: wrong password, missing permission, bad certificate, or
//     a peer that is not Redis;
//   - [broker.ErrUncertain]: the command may have been sent and Redis' answer did
//     not come.
//
// # Feeds
//
// A [Feed] has one connection for all its channels. When that is lost it is thrown
// away as a whole, a new one is made, and each channel is reported in a
// [broker.GapError] as soon as Redis confirmed it again. A connection that went
// silent without being closed is noticed within twice [Options.Heartbeat].
//
// The user of an ACL needs the commands PUBLISH, SUBSCRIBE, UNSUBSCRIBE and PING,
// and the channels.
//
// # Concurrency
//
// A Broker runs a goroutine that sends while publications are waiting, and no
// longer. A Feed runs one that keeps
// the link and, while the link stands, two more: one writes, one looks after
// silence. Close waits for them.
//
// # go-redis' own log
//
// The client library underneath writes lines to standard error through a logger
// of the whole process. Importing this package turns that logger off, because
// all that matters comes back as an error or is logged once through
// [Options.Logger]. A program that wants the lines calls the library's SetLogger.
package redis
