// Package broker is the contract between pregon and the system that carries
// messages between its nodes, such as Redis.
//
// A [Broker] publishes messages and opens Feeds; a [Feed] is one ordered stream
// of the messages of a changing set of channels. That is all a driver must do.
// The package broker/brokertest tests the whole contract in one call.
//
// # Opening
//
// [Open] takes a URL, whose scheme chooses a driver. Drivers register
// themselves, so a program imports those that it wants:
//
//	import (
//		"github.com/pregon/pregon/broker"
//		_ "github.com/pregon/pregon/broker/memory"
//	)
//
//	b, err := broker.Open(ctx, "memory://")
//
// The registry is a convenience: every driver also has a constructor with typed
// options.
//
// # Why Next, and neither callbacks nor Go channels
//
// A callback runs on the driver's goroutine, so its locks and its shutdown
// become the reader's problem. A Go channel costs a hop a message and leaves
// open who closes it. Next blocks, returns an error like any other Go call, and
// lets the reader set the pace; [All] makes an iterator of it.
//
// # Losing nothing silently
//
// A driver delivers a message once, or says with a [GapError] that it may be
// missing. A [Queue] does the half of that which concerns readers that are too
// slow; noticing that a link was lost is the driver's own work.
//
// # History
//
// A driver may keep the last messages of each channel: then it is a [Historian],
// found with [HistoryOf]. Each message has a [Position] there, and each says
// which one it follows, which tells a reader that nothing is missing; what the link
// lost, it reads again. Where it is a [Clearer], what is kept of a channel can be
// forgotten. A driver that can say what in its backend's settings would
// hurt is a [Diagnoser], and one that can say whether its link to the backend
// stands is a [Linked].
//
// How much is kept can differ from channel to channel: a [Retainer] is given a function
// that says it, and calls it where it needs to know. The other way is a retention in
// every call of Publish, History and Keep. It would lead through each wrapper and each driver,
// also those that can do nothing with it; Keep is called for thousands of channels at a time;
// and what no caller publishes, as other programs do, would have none. With a function those who
// publish and read need not know what is kept, and a configuration that is read anew is one call.
//
// # Wrappers
//
// A Broker that wraps another one has the capabilities that it has methods for, and
// nobody looks behind it: what a wrapper guards or changes in Publish cannot be passed
// by. One that hands its capabilities on has a method for each, such as PublishBatch.
// One that embeds a driver's own type has all of the driver's, and overrides
// PublishBatch where it overrides Publish.
//
// # Concurrency
//
// A Broker's methods may be called from any goroutine, and so may a Feed's,
// except that one goroutine at a time calls Next. Close waits for what it ends.
// This package starts no goroutine of its own and imports the standard library
// only.
package broker
