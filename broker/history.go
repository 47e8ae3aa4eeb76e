package broker

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// A Historian is a Broker that keeps the last messages of each channel for a
// while, so that what a reader missed can be read later. It is an optional
// capability, found with [HistoryOf]; a Historian whose Retention is zero keeps none, as
// drivers do unless they are told to, and answers the other methods with
// errors.ErrUnsupported.
//
// With history on, each message that Publish accepts gets a [Position], which its
// Receipt and every delivery carry. A message is kept before any Feed delivers it, so
// that a reader that has heard it and then reads the history finds it there, unless it was
// deleted or lost since. The newest position of a channel is remembered for as long as
// its epoch lasts, also when its message is not kept any more. A backend that forgets it
// begins an epoch with the next message; one that never gives a number twice, as it numbers many
// channels together, may go on in the epoch, as nothing is Complete behind what it has forgotten. Messages that strangers publish without going
// through a Broker may have none.
type Historian interface {
	// Retention returns what is kept of each channel, unless a [Retainer] was told
	// otherwise of some. It never changes.
	Retention() Retention

	// History returns messages of one channel, oldest first.
	History(ctx context.Context, channel string, q Query) (Page, error)

	// Newest returns the position of the newest message of each channel, in
	// the order of channels, zero where there is none. Any number of channels
	// costs about one round trip.
	Newest(ctx context.Context, channels ...string) ([]Position, error)

	// Keep keeps what there is of each channel from expiring as a whole for
	// another MaxAge: a channel that is kept now and then goes on in its
	// epoch. Single messages expire as before, and a channel of which nothing is
	// kept stays as it is. Any number of channels costs about one round trip.
	//
	// A channel of which a [Retainer] keeps less than Retention says has at least
	// Retention's MaxAge, or LeastLife where that is shorter. So a reader that keeps its
	// channels twice in that time need not know what was said of each.
	Keep(ctx context.Context, channels ...string) error
}

// Retention says how much of a channel a Historian keeps at least, as far as that
// much was published: messages that are among the newest MaxMessages and not older
// than MaxAge. It may keep more.
type Retention struct {
	MaxMessages int
	MaxAge      time.Duration
}

// IsZero reports whether no history is kept.
func (r Retention) IsZero() bool { return r == Retention{} }

// A Query says which messages History is to return.
type Query struct {
	// After is the position behind which to begin. Zero asks for the newest
	// messages.
	After Position

	// Before, where After is zero, asks for the newest of the messages before
	// this position, which need not be that of a message. Zero asks for the newest
	// of all. With an After it has no effect.
	Before Position

	// Limit is the most messages to return, at least 1. A Historian may return
	// fewer, so that a page stays within about a MiB, but at least one where there is
	// one.
	Limit int
}

// A Page is what History has found.
type Page struct {
	// Messages come in the order of their positions, all of them behind the
	// Query's After (see Position.Compare). The receiver may keep them.
	Messages []Message

	// Complete says that nothing is missing between the Query's After and the
	// first of Messages, or, where there are none, behind After: the message at
	// After is kept, or is the one before the first of Messages (see Message.Prev),
	// or there are none and After is the newest position. It is false where After was
	// deleted long ago, is of an epoch that is gone, or was never given to a message.
	// It is true where After was zero.
	//
	// It says nothing about holes between Messages, nor about what an epoch
	// may have lost with its end: where one does not follow the one before (see
	// Message.Follows), After and the first of Messages included, something is
	// missing there.
	Complete bool

	// More says that there are messages behind these, or, where the Query's After
	// was zero, older ones before these.
	More bool
}

// LastPage reads the page with which the newest n messages of a channel begin:
// what follows them is behind its last message. Where the newest n fill more than
// one page, it reads them backwards, so it holds one page at a time. The
// page's More says that there are messages besides these, older or newer ones.
//
// read is called for each page, as [Historian].History for that channel; its first
// error is returned. n is at least 1.
func LastPage(n int, read func(Query) (Page, error)) (Page, error) {
	page, err := read(Query{Limit: n})
	newer := false
	for rest := n - len(page.Messages); err == nil && rest > 0 && page.More && len(page.Messages) > 0; {
		var older Page
		older, err = read(Query{Before: page.Messages[0].Position, Limit: rest})
		if err != nil || len(older.Messages) == 0 { // they have expired meanwhile
			break
		}
		page, newer = older, true
		rest -= len(page.Messages)
	}
	if err != nil {
		return Page{}, err
	}
	page.More = page.More || newer
	return page, nil
}

// Parameters of broker URLs that turn history on.
const (
	ParamHistory     = "history"      // a time.Duration: how long messages are kept
	ParamHistorySize = "history-size" // how many messages of a channel are kept
)

// Bounds and defaults of [ParseRetention].
const (
	DefaultHistory     = 5 * time.Minute
	DefaultHistorySize = 1000
	MinHistory         = time.Second
	MaxHistory         = 30 * 24 * time.Hour
	MaxHistorySize     = 1_000_000
)

// ParseRetention takes the two history parameters out of a broker URL. Either
// turns history on, the other then having its default; without both it is off.
// Its errors wrap ErrURL. Drivers with history call it, and name the parameters
// to CheckParams.
func ParseRetention(u *url.URL) (Retention, error) {
	q := u.Query()
	if !q.Has(ParamHistory) && !q.Has(ParamHistorySize) {
		return Retention{}, nil
	}
	r := Retention{MaxMessages: DefaultHistorySize, MaxAge: DefaultHistory}
	if q.Has(ParamHistory) {
		age, err := time.ParseDuration(q.Get(ParamHistory))
		if err != nil || age < MinHistory || age > MaxHistory {
			return Retention{}, fmt.Errorf("%w: %s: the parameter history is not a time such as 5m, from 1s to 720h", ErrURL, u.Scheme)
		}
		r.MaxAge = age
	}
	if q.Has(ParamHistorySize) {
		n, err := strconv.Atoi(q.Get(ParamHistorySize))
		if err != nil || n < 1 || n > MaxHistorySize {
			return Retention{}, fmt.Errorf("%w: %s: the parameter history-size is not a number from 1 to 1000000", ErrURL, u.Scheme)
		}
		r.MaxMessages = n
	}
	return r, nil
}

// HistoryOf returns b as a Historian where it is one that keeps something.
func HistoryOf(b Broker) (Historian, bool) {
	h, ok := b.(Historian)
	if !ok || h.Retention().IsZero() {
		return nil, false
	}
	return h, true
}

// ErrKey is wrapped by what Publish says of a Key that cannot be used, such as one that is
// too long.
var ErrKey = errors.New("broker: the key cannot be used")
