// Package hub is the fan-out engine: it hears every channel that somebody on
// this node wants, once, and hands each message to all who want it.
//
// Callers do not come here: what one may do is a [transport.Client], which package node
// makes on a Hub and a broker. A Hub refuses names that no client may use, and leaves all
// else to the [Caller] of a session: it says which channels that may hear, and for how long,
// when they are subscribed, and never when something is delivered.
//
// # The path of a message
//
//	broker feed ─▶ reader ─▶ inbox of each worker ─▶ write to each subscriber
//	               encode      join what waits         one call, no waiting
//
// The reader turns a message into bytes once per [transport.Encoding] and gives
// the same bytes to every worker that has subscribers for it. A worker takes all
// that waits in its inbox, joins the frames of one channel and encoding into one
// slice, and sends that slice to every subscriber: K messages for N subscribers
// cost N system calls when they come faster than they can be sent one by one.
// There is no queue and no goroutine for each subscriber; see package socket.
//
// A worker sends in rounds: one write's worth of each group of at most 128 clients of
// one channel. Every so many writes it looks into its inbox, and groups whose turn is
// still to come send what has come meanwhile, too. So no client waits for more than one
// round and one rest, and a channel with much to be sent, or with many clients that do
// not read, delays the others by its part of a round. The bounds of an inbox count what
// was not sent yet, whether taken or not. Whatever else concerns a channel, such as a
// client that joins, keeps its place: what came for that channel before is sent first.
//
// Each session belongs to one worker for life. That alone keeps the order of
// its messages. There is no order between channels.
//
// # Where to read
//
// A message from POST to a socket:
//
//	server/publish.go                 the request becomes a message
//	server/node/client.go             what its caller may do
//	broker/broker.go                  what a broker does with it; a driver brings it back
//	server/hub/reader.go              from the feed to the channel, and on to its workers
//	server/hub/backfill/channel.go    in its turn, where there is a history
//	server/hub/inbox.go               what waits for a worker
//	server/hub/worker.go              to each subscriber of the channel
//	transport/socket/socket.go        to the kernel, or behind what waits
//
// A subscriber from upgrade to confirmation:
//
//	transport/ws/ws.go                the request, and the upgrade once all is confirmed
//	transport/open.go                 all channels or none
//	server/node/client.go             what its caller may do
//	server/hub/session.go             what comes is kept from now on, and then answered
//	server/hub/directory.go           one more wants the channel
//	server/hub/interest/confirm.go    waits for the broker
//	server/hub/interest/run.go        asks the broker, for all who wait
//	server/hub/catchup.go             what was kept, and from then on what is live
//
// One that continues, or wants the last messages, goes on in replay.go.
//
// # Locks
//
// A message takes at most four locks between the feed and a connection, which a test
// counts:
//
//  1. the channel's, in package backfill, where there is a history: does it follow?
//  2. the inbox's, of each worker that has subscribers, to push it;
//  3. the inbox's, to take it with all else that waits;
//  4. the socket's, for each subscriber, to write it with all else that was joined.
//
// None is held while the next is taken. The reader finds a channel and who
// is to hear it without a lock: the groups of a channel are copied when a client comes
// or goes. The directory's lock, for sessions that come and go, is not on the path.
//
// # What profiles showed
//
// One channel, a thousand subscribers: nearly all of the processor's time is in
// write(2), and nearly all of that in the kernel's TCP. So the only way to be much
// faster is to call it less often. After a round a worker rests, for longer the longer
// the round took, and joins what comes meanwhile; that it leaves the processor to the
// publisher is half of the gain. A shorter rest than 10 ms costs more than it gives: with
// 7, a publisher that competes with the writes for the processor falls to half its rate
// and stays there, as there is less to be joined then. Waking a goroutine per delivery
// doubled the cost, and a copy of the frames for each subscriber is not made.
//
// Two hundred channels with one subscriber each, published to over HTTP: two in
// five samples are system calls, of the delivery and of the answer to the publisher
// in equal parts; a quarter is net/http's reading and answering of requests; one in
// seven is all that this project does between a request and its message's frame. A rest
// joins nothing there and is not taken: it doubled the slowest deliveries.
//
// # Interest
//
// Package [interest] has the feed carry the channels that somebody wants. Those who come
// and go say so and do not wait; what waits is a Subscribe, until the broker has
// confirmed its channels.
//
// # Buses
//
// Nodes talk to each other on a [Bus], a channel that goes the way of all others, and no client can name.
//
// # Gaps, with a history and without
//
// Where the broker keeps a history, package [backfill] follows the positions of each
// channel: what the feed loses is read from the history and delivered in its place,
// and the clients notice nothing. Its documentation says what is promised and what is
// believed.
//
// What other programs publish beside a history is in none. Where a link was lost, that may be
// missing in channels where it was heard before, or is said to come ([Options].Strangers).
//
// What cannot be had any more, and without a history whatever may be missing, is a
// gap: each subscriber of the channel is told at that very place. Those whose
// encoding cannot express it hear nothing more and are closed with
// [transport.CloseGap], a bounded number per second, so that they do not all come back
// at once.
//
// In a channel without any message there is nothing to see a loss by: that histories
// have begun anew is seen by the heartbeats, which have positions, too.
//
// # Sessions and their channels
//
// A session is a client's stay in the hub, a membership its stay in one channel. Groups
// point to memberships, which know where they stand there, and sessions string theirs on
// a list: so a channel comes and goes at a cost that does not depend on how many others the
// session has.
//
// A membership begins behind its group: the worker keeps for it what comes from the moment
// at which the end of the channel was noted. Once the broker has confirmed the channel the
// client is told where it begins, then gets what was kept, and hears what is live from then
// on. So the answer to a client is ahead of the channel's first message, and nothing between
// both is lost. What ends a stay goes through the same queue as the messages, and stands
// behind the last of them.
//
// # How sessions end
//
// By their clients, mostly. Otherwise what was published before is sent first, then the closing
// frame of the session's Control, by its worker; the transport, whose connection ends, leaves.
//
// A stopping node ends all, and one gap may end very many, which then all come back: those are
// ended at a bounded rate. Who may hear no more is ended at once:
//
//   - A Caller's end ([Caller].Ends) is one of a heap's in its worker, which waits for the
//     earliest: no timer and no goroutine for each session, and nothing for those without an
//     end. It is the Callers' to spread ends that fall together.
//   - [Hub.Review] asks the Callers again, when what they go by has changed. Each worker goes
//     once around its wheel, some sessions at a time between messages, and reads their channels from
//     its own lists: no lock, no registry, and no session is missed or asked for ever. A channel that
//     is being subscribed meanwhile is asked for once more when the broker has confirmed it, and
//     when the client was answered: either the review or that sees the change. A client whose
//     Control is a [transport.Ender] is told of the end of one channel, and keeps the others.
//     [transport.Session].Renewed does the same for one session.
//
// # Clients that are behind
//
// A client that continues where it was, wants the last messages first, or with
// [Options.CatchUp] was too slow, is fed from the history by a goroutine of its own
// until it is level. Its worker meanwhile keeps what comes, and joins both ends by
// position: no seam, nothing twice. A history that ends before what was kept begins is that
// of a new master, which has lost what is between; that is a gap. A session knows where it
// began, so that a client which can remember that goes on from there even if it has heard
// nothing, and what was asked for ("the last ten") is counted from there, however much later
// it is read.
//
// # Concurrency
//
// All methods of a Hub may be called concurrently. A Hub owns the goroutines of
// its reader, its reconciler, its heartbeat, its workers, and those that read a
// history for a client, and Close waits for them and for the [backfill.Filler].
// Inboxes are bounded: where a worker falls behind, the reader waits for it, and
// the broker's own queue fills until it reports a gap. A worker never waits for
// a client.
package hub
