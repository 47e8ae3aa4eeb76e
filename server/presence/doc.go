// Package presence knows who is in a channel, on all nodes of a deployment together.
//
// Nodes tell each other through the bus that carries their messages anyway, so presence needs
// nothing of a broker, and heals by the means by which messages do. An [Engine] is one node. It
// knows neither connections nor a hub: those who do call [Engine.Join] for each connection of a
// member and what that returns when it has ended; [Engine.Members] reads a list, and
// [Engine.Observe] follows one.
//
// # The protocol
//
// All nodes publish to one channel, and hear it. Each owns its members, under a random name that is
// new with each run, and numbers its messages, which come from one goroutine. There are four:
//
//   - A beat, every 2 s, says that the node lives, and has a digest for each of 64 buckets of
//     channels: what others know of its members if they have heard everything so far.
//   - Changes, joined for 100 ms, say what is true now of members that others do not know the newest
//     of. Each stands for itself, so one that comes twice does no harm.
//   - A question names nodes and their buckets in which the digest of a beat is another than that of
//     what is known. Nodes wait up to 250 ms before they ask, and do not where another has.
//   - A part is everything that the node has of a bucket between two keys, at this moment. What it
//     does not name there is not so. Parts follow each other until the bucket is told, at most once
//     a second for each bucket; a beat follows, as its digests show that this was all.
//
// So there is no state that only one message has: whatever is lost, doubled, late or made up, the
// next beat shows that something differs, and the parts put it right. What a node publishes is a
// function of what it has, and not of what it has done; what waits to be published is joined by
// member, and one that came and went meanwhile is not told of at all.
//
// A part that stands for itself takes the place of a snapshot that is applied whole: none is
// collected, none is made ahead of being sent, changes in between need no second look, and where
// one is lost the others still count. One channel takes the place of one for each bucket: a
// node's messages have one order then, which a broker promises only within a channel, and it is the
// order that makes a beat comparable with what came before it.
//
// # What is promised
//
//   - A node's own members are exact, and on other nodes half a second old.
//   - All nodes agree five seconds after the last fault. The members of a node that was killed have
//     left within ten seconds, those of one that stops two seconds after it said so.
//   - A member whose connection is lost stays for two seconds. Nobody is told of one that comes back
//     in time, to whichever node.
//   - A list is called complete only where that is so as far as this node can know: not in its first
//     five seconds, not while it does not hear itself on the bus, nor in the 2.5 s after, not where a
//     node is silent for four seconds or has not answered for two what it was asked for.
//   - Without faults nobody is said to have left who is connected: observers are told a turn later than
//     of one that came, so that one that goes from node to node has come before it has left.
//   - Observers are told all members first and then what changes, and all members again after a hole
//     and where the list becomes complete, or is not any more.
//
// It is not promised that nobody is said to have left who then joins again: a node that nobody has
// heard for eight seconds counts as dead. A node gives none up, though, before it has heard itself for
// as long: where its own link is down, or it was stopped itself, silence says nothing of others.
//
// Which info a member has whose connections have several is that of the newest, by the clocks of
// the nodes. Where these disagree it is another one, but the same on all nodes.
//
// # What is believed
//
// The bus vouches for what it brings: whoever can publish there can say who is where. It is not
// trusted to be well-formed: what comes is read strictly, each part of it has the bounds of what comes
// from a client, and it takes no more memory than said below. A node that has said that it stops, or
// was given up, is not brought back by a repetition of what it said.
//
// # Bounds
//
// At most 100 nodes: with n nodes there are n/2 beats a second of 0.8 KiB, which each reads. One
// more is not heard, the log says so, and the lists are not called complete. A node publishes at most
// 10 times a second up to 320 KiB in messages of up to 64 KiB, however many come and go: of 10,000
// that join at once, with an info of 50 bytes, 1.1 MB are published in some 25 messages within a second.
// Members of other nodes are known up to 1,048,576; beyond them lists are not complete. What came and
// was not read yet is bounded by 16 MiB and 4,096 messages; what is beyond counts as lost.
//
// An observer is sent at most some 256 KiB every 250 ms, in pages of up to 500 members and about
// 64 KiB. Observers that come at the same time share a list, and what is encoded; a channel has
// one copy of its list at a time, whoever waits for the next. Above 1,000 members observers are told
// how many there are; once there are fewer again, and five seconds have passed, the whole list.
//
// An entry takes about 200 bytes and its info. Clients that are no members, and channels that nobody
// observes and nobody is in, cost nothing. A change costs a SHA-256, and a listing, or a page, a merge
// of those who came since the last one into a list that is sorted. A node that nobody joins wakes up
// 14 times a second.
//
// # State in the broker, compared
//
// The usual way is a hash in Redis for each channel, with a time to live for each member or node. It
// lists atomically, and needs no memory in nodes. But events and list come by different ways and do
// not fit together where one is lost; a failover empties the lists while all are connected; entries
// are to be written again and again, by member; those of a node that dies stay until they expire, and
// those of one that is cut off disappear on the node itself; and it is code for each driver, which
// most brokers have nothing to write with.
//
// # Concurrency
//
// All methods may be called concurrently. An Engine has two goroutines: one reads and does what is due
// by the clock, and calls observers, without a lock; the other publishes. One lock guards all
// state, held for the time of one message or one turn. [Engine.Close] waits for both.
package presence
