// Package interest has the feed of a broker carry the channels that somebody wants, and no
// others.
//
// [Interest.Acquire] and [Interest.Release] say who wants what, and never wait. One goroutine,
// [Interest.Run], compares what is wanted with what the feed carries, and adds and removes
// channels in batches. No other goroutine does, so sessions that come and go cannot race. A
// caller that needs to know that a channel is carried calls [Interest.Confirm].
//
// A channel that nobody wants any more stays for a while, so that a reload of a page costs the
// broker nothing.
//
// A channel that the broker refuses keeps no other waiting: its batch is halved until the channel
// is alone. It is asked for again when somebody else wants it, and now and then while somebody
// does. One that cannot be removed is tried again, too.
//
// A channel that is carried may be on a link that was just lost, and which the feed is restoring.
// So Confirm asks the feed again for its channels: that is answered at once, and without the
// broker, where the link stands, and otherwise when it does. The alternative was a capability of
// feeds to say whether the link is up. It would be one more thing to implement and to get right for
// each driver, and need a way to wait for a change as well; asking again needs only what Subscribe
// promises.
//
// A feed that ends by itself is replaced: all that it carried is added to the next one, and
// [Options.Lost] is called for these channels at once, as messages are lost from then on, and once
// more when a channel is carried again.
package interest
