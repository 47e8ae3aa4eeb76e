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
// The parameters history=5m and history-size=1000 of [broker.ParseRetention] turn
// history on. With master=NAME the host is a Sentinel; see Sentinel.
//
// [New] takes the same settings as typed [Options].
//
// # Publishing
//
// A message is one PUBLISH, in the form of [broker.AppendWire], or with history one
// script. It is sent once: nothing here and nothing below repeats it, except what
// Redis said that it did not execute (see History).
//
// One pipeline is under way at a time. A caller that finds none sends at once; what others
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
// A [broker.Feed] has one connection for all its channels. When that is lost it is thrown
// away as a whole, a new one is made, and each channel is reported in a
// [broker.GapError] as soon as Redis confirmed it again. A connection that went
// silent without being closed is noticed within twice [Options.Heartbeat].
//
// Redis closes the connection where an ACL no longer allows one of its channels,
// and refuses to restore any together with that one. It is found by halving: it
// ends, which a [broker.GapError] with the reason [broker.Denied] says, and the
// others are restored.
//
// The user of an ACL needs the commands PUBLISH, SUBSCRIBE, UNSUBSCRIBE and PING,
// with Sentinels also ROLE, with a database other than 0 SELECT, and the channels.
// That of a Sentinel needs the command SENTINEL|GET-MASTER-ADDR-BY-NAME.
// [Broker.Diagnose] has the line that makes such a user.
//
// # Sentinel
//
// A server that Sentinels watch over is given by its name and by their addresses:
//
//	redis://[[user]:password@]sentinel[:port][/db]?master=NAME[&sentinels=host:port,host:port]
//
// The port of the first Sentinel is 26379 unless the URL says otherwise. User,
// password and database are the server's; Sentinels that want a password of their
// own are for [Options]. With rediss the Sentinels are asked over TLS, too, and
// each certificate must be valid for the name or number by which its owner is
// called, which for a server is what the Sentinels say.
//
// Before every connection, and every [Options.Heartbeat], all Sentinels are asked
// at once. What counts is what more than half of them say, and where so many do
// not answer within half of [Options.DialTimeout], more than half of those that
// do; so all should be named. A new connection is used only if the server says
// itself, by ROLE, that it is the master. When another server is the master, all
// connections to the old one are closed, even if it goes on as a master: channels
// are reported in a [broker.GapError], and publications that were under way match
// [broker.ErrUncertain]. None is repeated. Where a server answers READONLY, which
// means that nothing was done, the next publication goes by a new connection.
//
// Sentinel does not fence off the old master. Until a node has noticed, for a
// Heartbeat and the time of asking, it may publish there: that is accepted, and
// the nodes that have noticed before do not hear it. Without a history they do not
// hear of it either. With one, what the old master has accepted and not replicated
// is a reason for a new epoch, whenever it was (see History).
// min-replicas-to-write bounds how much that can be.
//
// # History
//
// With [Options].History a [Broker] is a [broker.Historian]. It needs Redis 7 or
// newer, and keeps the messages of a channel in a stream. Behind the prefix the
// keys are
//
//	__pregon:h:<channel>   the stream; an entry's id is the position epoch-number
//	__pregon:k:<hash>      a marker of a Message.Key
//	__pregon:run           the life of the server, its epoch, the secret of the deployment,
//	                       and the most that is kept of any channel
//
// The heartbeats of all nodes are probes (see [Broker.Probe]), of which the newest few are
// kept in one stream, that of the channel __pregon.probe.
//
// An entry has the field m, which is [broker.AppendFields] of the message, and k,
// its key, where it has one. One script appends the entry, which numbers it, and
// publishes the message with its position. The entry is all that the script writes,
// so the append-only file has nothing of which a crash could leave a half; only where it
// replaces a stream that another program has spoilt are there two writes.
//
// Streams are trimmed to about History.MaxMessages, never to less, and expire between
// MaxAge and two of it after the last message; [Broker.Keep] puts that
// off, too. [Broker.Clear] deletes the stream; a master that takes over and has not
// heard of that may have it still. A channel whose node is killed between its first message and the
// command that follows it keeps its stream until it is published to again.
//
// What [Broker.Retain] says of a channel takes the place of History: each publication trims
// its stream to that, the first one since then, and those that follow now and then, say when it
// expires, and so does Keep. Nothing of it is kept in Redis but the longest of all, in __pregon:run:
// by that goes what other programs publish, who know no rules.
//
// A new epoch begins where a stream was not there, and where Redis was started
// again or another server took over, because it may have lost what it had
// acknowledged and would give its numbers again. The text of the script names the
// life of the server, so that a new one does not know it and answers NOSCRIPT, which means
// that nothing was done. The node then learns the epoch of the new life, and what was
// not executed is sent again. The old epoch goes on only where nothing can have
// been lost: the same master, with appendonly yes and appendfsync always during
// all of the old life and now, without replicas and not promoted.
//
// Even then each node looks, whenever it has connected again, whether the newest
// messages that it has published and heard are still there. Where one is not, as
// after a disk has lost the end of the append-only file, or where a master has
// accepted it that was replaced by then, the node makes a new epoch for all. A node
// that knows none of the lost messages cannot see that before one that does; an operator
// that puts an older file back in place deletes __pregon:run. By the clocks of nodes and servers
// a node knows whether another has seen to a loss already, so they should agree.
//
// Two things can go unnoticed. A server that was replaced and is the master again in
// one life still knows its scripts: what a node publishes first on its first
// connection to it may be numbered as before (a node that serves clients publishes a
// heartbeat each second). And other programs may add entries to a stream, but not
// make one that has been deleted: its numbers would begin again. A Redis Cluster
// keeps no history.
//
// A marker counts the uses of a key. The first need not search, and others search the
// stream for the message. Markers live as long as the stream after the key was last used; a
// maxmemory-policy that evicts keys may evict them sooner, and then a repeat is
// published again. The same holds where a failover has lost the message: a publisher
// that repeats one of unknown outcome may be answered by a master that never had it,
// although subscribers of the old one heard it. WAIT for a replica would not help: the
// message is heard when it is written, before any replica has it.
//
// The user of an ACL needs in addition the keys, and the commands EVALSHA, EVAL,
// SCRIPT|LOAD, INFO, XADD, XRANGE, XREVRANGE, XINFO|STREAM, XINFO|GROUPS,
// XGROUP|CREATE, XGROUP|SETID, GET, SET, INCR, EXISTS, PEXPIRE, UNLINK and TIME.
// CONFIG|GET is asked and may be refused; the server then counts as not durable.
// FUNCTION|LOAD and FUNCTION|LIST may be refused, too.
//
// [Broker.Diagnose] says what in the settings of a server would hurt.
//
// # Other programs
//
// With a history, what another program sends with PUBLISH is heard, without a
// position, and is not kept. [Broker.Mark] notes in the stream that there was one: as
// the consumer group pregon:mark, of which only the place matters.
//
// Every client of Redis can publish as a node does, by one command, whose reply is the
// cursor of the message:
//
//	FCALL pregon_publish 1 chat hola
//	EVAL "$(pregon redis-script)" 1 chat hola
//
// Nodes without a prefix teach a server the function, where they may; see
// [Broker.PublishScript] and [Broker.PublishFunction]. Both do nothing, and answer with
// an error that begins with PREGONRUN, where the server was started again and no node
// has been there since.
//
// No program is believed for what it claims. What comes by pub/sub has a position only
// with a tag that cannot be made without the secret of the deployment.
// Nodes make the secret and keep it in the record __pregon:run. An envelope with a
// position and without such a tag is ignored and counted: [Broker.Rejected]. So a
// program that may PUBLISH can do no more than publish messages of its own, by nobody
// ([broker.Message].By). Without a history nothing is checked. One that
// may add entries to streams, too, can add messages, and gaps; entries at impossible
// places are not read, and a stream that ends with one is begun anew by the next
// publication. A program that may read or write pregon's other keys is trusted: guard
// them with an ACL.
//
// # Concurrency
//
// A Broker runs a goroutine that sends while publications are waiting, and no
// longer, and with Sentinels one that asks them, with one for each while it does.
// A Feed runs one that keeps the link and, while the link stands, two more: one
// writes, one looks after silence. Close waits for them.
//
// # Structure
//
// A Broker has a shard for each master: today one, of a cluster many. A shard is a
// pipeline that publishes, the streams of the histories, and the links of the Feeds, all
// to the same server. The Broker routes: a channel is on one shard, whatever is done with
// it.
//
// What stands below this package in internal has one thought each and a contract in its
// documentation. Imports run one way, downwards in this list, and a test says so:
//
//	link      the connection of a Feed, and the next one when it is lost
//	stream    histories: server lives, epochs, the history writer, reading, marks
//	pipeline  publishing: whose turn it is, and what became of each message
//	topology  where the master is, and connections to it
//	route     what is for many shards, split into parts that are for one
//	pause     waiting between attempts
//	wire      connections, and the framing of what comes over them
//	reply     what errors and error replies mean
//	acl       what the user of an ACL needs, and what a refusal says is missing
//	seal      proofs that a message with a position comes from a node
//	script    names of the keys of a history, and texts of the scripts
//
// # go-redis' own log
//
// The client library underneath writes lines to standard error through a logger
// of the whole process. Importing this package turns that logger off, because
// all that matters comes back as an error or is logged once through
// [Options.Logger]. A program that wants the lines calls the library's SetLogger.
package redis
