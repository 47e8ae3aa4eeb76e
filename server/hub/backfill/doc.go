// Package backfill keeps the messages of channels in order, each once, and whole: what the
// broker's feed loses is read from the history and delivered in its place, and what cannot be
// had any more is told. It knows a history, and for each channel a [Sink]; who listens, and
// how they are reached, is not its concern.
//
// # One way in, one way out
//
//	Hear(message) ──▶ Channel ──▶ Sink.Deliver(message)
//	Lost(reason)  ──▶  follows │  Sink.Gap(gap)
//	                   or waits
//	                      │
//	                    fill ◀── history
//
// [Channel.Hear] takes what the feed brings, and delivers a message that follows the one
// before. [Filler.Lost] says that the feed may have lost something. Either may begin a fill: a
// goroutine that reads the history behind what was delivered last, delivers that, and then what
// waited meanwhile. At any time one of the two delivers to a channel's Sink, Hear or the fill,
// so the Sink hears one call at a time, in order. No lock is held meanwhile: a Sink may take
// its time, and then holds up the feed, or the fill of this channel, and nothing else.
//
// # What is promised
//
// For each channel that [Filler.Begin] was called for, until [Channel.Forget]:
//   - Messages with a position are delivered in the order of their positions, each once.
//   - Behind each delivered message comes the next one that the broker gave a position, or a
//     gap. The gap stands where something is missing, and is told once.
//   - A message without a position, which another program published beside the history, is
//     delivered once, in the order of the feed among its like. One that the feed may have lost
//     is a gap where the channel is known to have such messages.
//   - What the feed has lost at the end of a channel, where no later message shows it, is found
//     within half a minute.
//
// # Which positions are believed
//
// A position that comes through the feed is believed where it is the next one. One that is
// further on is believed where the history has it, as a broker keeps a message before it sends
// it. Otherwise the broker has lost the message, or somebody has made the position up: a gap
// stands in its place. One that is not above the last is late, or a repeat, and is dropped:
// epochs only grow. Where the history could not be read at all for a minute, what comes next is
// believed, behind a gap.
//
// # Bounds
//
// At most 16 readings of the history are under way at a time, and each has 5 s. Behind a hole
// wait at most 4,096 messages and 4 MiB for each channel; what does not fit is read again. A
// reading that fails gives its turn to others before it is tried again.
//
// # Marks
//
// What other programs publish beside the history cannot be read later. So that no client is
// taken to have missed nothing where it may have missed such a message, its channel gets a mark
// behind the newest message (see [broker.Marker]): a client that continues from there or from
// before is not recovered. Where the link was lost in a channel that has a mark, there may have
// been another message: that is a gap, which nothing fills, and a mark. So it is in a channel
// of which [Options].Strangers says that it has such messages, though none was heard there yet.
//
// A mark is known at once on the node that makes it, and to others as soon as the broker has
// it. In a channel that has one, a client that continues from before its node began to listen
// there is not recovered either: nobody may have heard another. What cannot be known is the
// first such message of any other channel, where no node has heard it.
//
// # Concurrency
//
// One goroutine at a time calls Hear and [Filler.Anew]. All else may be called concurrently. A
// Filler owns its goroutines, and Close waits for them; a Sink must not block for ever then.
package backfill
