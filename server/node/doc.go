// Package node is the one door to the channels of this process: whatever is published,
// heard, read or waited for goes through a [Client], whether it comes from a
// route of the server, from a Transport, or from a program that embeds the server.
//
//	routes, Transports ─▶ Client ─┬▶ hub     Join, Watch, Mark
//	                              └▶ broker  Publish, History, Newest, Clear
//
// So this is the place to refuse, to apply a rule of a channel, and to count what callers
// do. It refuses the names that [broker.CheckChannel] does, the reserved ones
// among them (the hub does so for Join), messages that are too long, and keys that cannot
// be used; and it asks the [Hooks] of the program. The routes check names earlier, for the order
// in which a caller is told what is wrong, but nothing relies on that.
//
// What concerns no single channel stays with the owner of the hub: readiness, figures,
// draining, and the end.
//
// # Cost
//
// A Client adds no goroutine, no lock and no queue. One message is handed to the broker
// directly and costs the slice of its Result; only more than one take the way of batches.
package node
