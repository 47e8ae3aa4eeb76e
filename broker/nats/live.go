package nats

import (
	"fmt"

	natsgo "github.com/nats-io/nats.go"

	"github.com/pregon/pregon/broker"
)

// errOtherStream is why a link is given up on which numbers do not grow.
var errOtherStream = fmt.Errorf("the stream was made anew: %w", broker.ErrUnavailable)

// begin notes an epoch, from which on messages are of it.
func (l *link) begin(s stored) error {
	if s.seq < l.epochs.last().seq {
		return errOtherStream
	}
	l.epochs = l.epochs.with(s)
	return nil
}

// takeStored delivers what the stream has stored. What does not come from it is ignored: only servers are meant to
// publish there.
func (l *link) takeStored(m *natsgo.Msg, s *subscription) error {
	seq := number(m, "Nats-Sequence")
	if seq == 0 || m.Header.Get("Nats-Stream") != l.feed.opts.names.stream {
		return nil
	}
	if seq <= l.highest {
		return errOtherStream
	}
	l.highest = seq
	heard := broker.ParseWire(s.channel, m.Data)
	heard.Position = l.epochs.at(seq)
	heard.Prev = l.prev(heard.Position, number(m, "Nats-Last-Sequence"), *s.newest)
	*s.newest = heard.Position
	l.feed.seen.note(heard.Position, m.Header.Get("Nats-Time-Stamp"))
	l.feed.queue.Push(heard)
	return nil
}

// prev returns the position of the message ahead of the one at p, where the stream says that its number is last.
// 0 is said of the first of a channel, and where that message is not kept any more. Then it is the newest that
// was heard on this link, which has had all since the channel was subscribed.
func (l *link) prev(p broker.Position, last uint64, newest broker.Position) broker.Position {
	before := newest
	if last != 0 {
		before = l.epochs.at(last)
	}
	if before.Epoch != p.Epoch {
		return broker.Position{} // p is the first of its epoch
	}
	return before
}
