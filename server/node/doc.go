// Package node is the one door to the channels of this process: whatever is published,
// heard, read or waited for goes through a [Client], whether it comes from a
// route of the server, from a Transport, or from a program that embeds the server.
//
//	routes, Transports ─▶ Client ─┬▶ hub     Join, Watch, Mark
//	                              ├▶ broker  Publish, History, Newest, Clear
//	                              └▶ presence  Members
//
// So this is the place to refuse, to apply a rule of a channel, and to count what callers
// do. Each way asks the same things in the same order, so that none lets in whom another
// would not, and nobody learns of a channel more than the first refusal says:
//
//  1. the name itself, which [broker.CheckChannel] refuses to everybody;
//  2. the [access.Policy]: may this caller do that, with this channel? The error is an
//     [*access.DeniedError]. To read a history, or to wait for news, one needs the right to
//     subscribe; of messages that are published together all are decided first;
//  3. what cannot be: messages that are longer than the node or the channel's rule lets them
//     be, keys that cannot be used, a history that is not kept;
//  4. the [Hooks] of the program, which may refuse what the policy allows, and allow nothing
//     that it does not.
//
// The routes ask earlier, by [Client.Check], for the order in which a caller is told what is
// wrong, but nothing relies on that.
//
// # Who said it
//
// A message that is published with a subject says so (broker.Message.By), and nothing that a
// caller or a hook puts there counts. Where there are rules, the idempotency keys of a subject
// are its own, and those of backends are theirs: no client can silence their messages by
// guessing a key. Callers without a subject share theirs.
//
// # Who is there
//
// Where some channel has presence, a Node runs a [presence.Engine] on a bus of the hub's. A stay in such a
// channel makes a caller with a subject a member, or one that has named itself, which it may only
// where no one can be known otherwise; and an observer, if it has asked for that. A reload
// that gives or takes presence counts for the stays that there are. A caller without a subject that asks for
// nothing costs nothing.
//
// # Expiry
//
// A credential that has expired lets its caller do nothing new. Its sessions hear on, and are
// ended five seconds later with CloseExpired, give or take half a second: clocks differ, and
// those that expire together do not all come back at once. A caller that waits for news is
// woken then, and its next look refuses.
//
// # Reload
//
// [Node.SetPolicy] puts another policy in the place of the one there is, at once for all that
// is asked from then on. The sessions that there are, and callers that wait for news, are
// decided again, with the hub's Review: who still may notices nothing. Whoever was decided
// before and is let in after is decided a second time then, so no one slips through between
// the two. Hooks are not asked again.
//
// # What is not here
//
// What concerns no single channel stays with the owner of the hub: readiness, figures,
// draining, and the end.
//
// # Cost
//
// But for presence a Client adds no goroutine, no lock and no queue. A decision allocates nothing, and none is
// made of what is delivered: who may hear a channel is decided when it is subscribed. One
// message is handed to the broker directly and costs the slice of its Result; only more than
// one take the way of batches. What a session of a stranger's keeps of all this is nothing; any
// other keeps its Client.
package node
