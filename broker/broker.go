package broker

import (
	"context"
	"iter"
	"unicode/utf8"
)

// A Message is one publication to one channel.
type Message struct {
	// Channel is the name it was published to. Drivers take any name that is
	// not empty; [CheckChannel] is the stricter rule for names from outside.
	Channel string

	// Data is the payload. It is immutable from the moment it is handed to
	// Publish or returned by Next: drivers and readers keep and share it.
	Data []byte

	// Binary says that Data is not text. Data that is not valid UTF-8 is
	// binary whatever the publisher said, see [Message.Normalized].
	Binary bool

	// Position is the message's place in the history of its channel: set by
	// the broker, ignored by Publish, and zero where the message is in none. See
	// [Historian].
	Position Position

	// Prev is the position of the message before this one in the same channel and
	// epoch: zero for the first of an epoch, and PrevUnknown where the driver has
	// forgotten it. It is set by the broker, ignored by Publish, and has no meaning
	// where Position is zero. Readers believe it, so a driver vouches for it as for
	// Position, whatever other programs claim. See [Message.Follows].
	Prev Position

	// By is who published it, as far as the server says, and nil where it says nothing. It
	// is set by the server alone, and drivers deliver it and keep it with the message. A
	// program that may write to the backend itself can forge it, unless the driver can tell
	// what a node has published from what others have.
	By *Author

	// Traceparent is the span of the publication, in the form of the header of that name (W3C Trace
	// Context, version 00), which has 55 bytes. It is set by the server alone, and only where the trace
	// is sampled: otherwise it is empty. Drivers deliver it as By, and may keep it with the message; no client gets
	// it. A program that may write to the backend itself can forge it, as it can By.
	Traceparent string

	// Key, where not empty, makes publishing it again safe: while the message
	// is to be kept in the history of its channel (see Retention), another with
	// the same Key is not published, and the receipt is that of the first. A
	// backend that loses the message loses the Key with it: then a repeat is
	// published again, behind what tells readers of the loss. It has at most [MaxKey] bytes, is not delivered, and has no effect where
	// there is no history.
	Key string
}

// MaxKey is the longest [Message].Key in bytes.
const MaxKey = 255

// Normalized returns m as every driver delivers it: with Binary set where Data is
// not valid UTF-8, so that a receiver may rely on text being text, By nil where
// that is not an Author as it has to be, and Traceparent empty where it is not well formed or not sampled.
func (m Message) Normalized() Message {
	m.Binary = m.Binary || !utf8.Valid(m.Data)
	m.By = m.By.normalized()
	m.Traceparent = sampledTrace(m.Traceparent)
	return m
}

// Follows reports whether m is the next message behind last, so that nothing can be
// missing between them. last is the newest position in m's channel before it, and zero
// where there was none.
//
// A message whose Position is not behind last (see [Position.Compare]) has come before.
// Between last and one that neither follows nor has come before, messages are missing, or
// may be.
func (m Message) Follows(last Position) bool {
	return m.Prev == last || last.Next(m.Position)
}

// A Receipt is a broker's answer to a publication that it accepted.
type Receipt struct {
	// Position is that of the message, zero where no history is kept.
	Position Position

	// Repeated says that the message had been published before, with the same
	// Key, and was not published again. Position is that of the first.
	Repeated bool
}

// A Broker carries messages between the nodes that share a backend. It is the
// least a driver implements; more is offered by optional interfaces, which the Broker
// itself implements: [BatchPublisher], [Historian], [Retainer], [Clearer], [Prober],
// [Marker], [Diagnoser], [Maker], [Linked], [Bounded], [Lossy], [Embedded].
//
// All methods may be called concurrently. Whoever opened a Broker closes it.
type Broker interface {
	// Publish hands m to the backend and returns once the backend has answered.
	// Messages that one goroutine publishes to one channel, each after the
	// previous call returned, arrive in that order.
	//
	// What an error means for the message is what [OutcomeOf] says. It was not
	// published where the error matches ErrUnavailable, ErrDenied, ErrTooLarge,
	// ErrKey or ErrClosed; these are for what a driver knows. After ErrUncertain,
	// and after any other error, it may or may not have been. No driver repeats
	// a publication by itself: the repeat could be the second one.
	Publish(ctx context.Context, m Message) (Receipt, error)

	// Feed opens a stream without channels. It does not wait for the backend:
	// that the backend cannot be reached is what Subscribe reports. The context
	// bounds the call, not the life of the Feed.
	Feed(ctx context.Context) (Feed, error)

	// Close ends all Feeds and makes every other method return ErrClosed.
	// Closing again is no error.
	Close() error
}

// A Feed is one ordered stream of the messages of a changing set of channels:
// one connection to the backend for a whole node, never one a channel.
//
// Subscribe, Unsubscribe and Close may be called concurrently with each other and with
// Next. One goroutine at a time calls Next.
type Feed interface {
	// Subscribe starts channels. Once it returns nil, every later publication to
	// them, by any node, reaches Next exactly once, until Unsubscribe, Close, or a
	// gap that Next reports.
	//
	// Adding a channel that is there already is no error, does not double its
	// messages, and costs the backend nothing while the link to it stands. Where
	// the link was lost, Subscribe returns nil only once the backend has confirmed the
	// channel on the next one: so a caller asks before it lets one more client
	// rely on the channel.
	//
	// After an error none of the channels that were new was added. Subscribe fails
	// as soon as the backend refuses or an attempt to reach it fails; it does
	// not retry. The Feed keeps trying to restore what it carries by itself.
	Subscribe(ctx context.Context, channels ...string) error

	// Unsubscribe stops channels. Once it returns nil, no later publication to them
	// reaches Next; messages that were received before may still. Removing a
	// channel that is not there is no error. After an error the channels are
	// no longer delivered, but the backend may still send them.
	Unsubscribe(ctx context.Context, channels ...string) error

	// Next returns the next message, and waits for it as long as it takes.
	// What comes faster than Next is called waits, about [QueueMessages] of it;
	// beyond that messages are dropped, and a gap says so.
	//
	// A *GapError says that messages may be missing from here on, on which
	// channels, and that the Feed goes on: the next call may return a message
	// again. It stands where the hole is, after all that was received
	// before and ahead of everything after. Any other error is final;
	// ErrClosed is the usual one.
	Next() (Message, error)

	// Close ends the Feed and unblocks Next, Subscribe and Unsubscribe with ErrClosed. It
	// returns when nothing of the Feed runs any more. Closing again is no error.
	Close() error
}

// All ranges over what f.Next returns: messages with a nil error, and gaps with
// a *GapError. It ends at the first other error without yielding ErrClosed.
func All(f Feed) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		for {
			m, err := f.Next()
			if err != nil && !isGap(err) {
				if !isClosed(err) {
					yield(m, err)
				}
				return
			}
			if !yield(m, err) {
				return
			}
		}
	}
}
