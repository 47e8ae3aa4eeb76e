package broker

import (
	"strings"
	"time"
)

// A Retainer is a Historian that can keep more of one channel than of another. It is an
// optional capability, found by a type assertion on what [HistoryOf] returns.
type Retainer interface {
	// Retain says what is kept of each channel from now on. It may be called again, as when
	// a configuration is read anew, and at any time, concurrently with everything else.
	//
	// of returns what is kept of a channel: MaxAge from [MinHistory] to [MaxHistory],
	// MaxMessages from 1 to [MaxHistorySize], and neither above that of longest. What is
	// beyond these bounds is cut to them. A member that is zero is that of
	// Historian.Retention, and so is all where of is nil. The driver calls of from several
	// goroutines, and while others wait: it must be quick, always answer the same, and not
	// call the Broker. Channels whose names begin with ReservedPrefix are not asked for.
	//
	// What is said counts for a channel from when it is next published to, or named in a
	// call of Keep. It loses no message that it would keep: of a channel that is to
	// be kept for longer what is there stays, and the longer past grows from then on; of
	// one that is to be kept for less, the rest may stay for a while. The channel goes on
	// in its epoch, and no Page is Complete where something is gone.
	//
	// Nodes that share a backend are to say the same. While they do not, as when they are
	// restarted one after the other, what the publisher of a channel's newest message says,
	// or the caller of Keep, counts for the whole channel: there is at least what
	// all of them would keep. What is said lasts as long as the Broker, and has no effect
	// where no history is kept.
	Retain(longest Retention, of func(channel string) Retention)
}

// LeastLife bounds how soon a channel is forgotten as a whole of which a Retainer keeps
// less than of others: see [Historian].Keep.
const LeastLife = time.Minute

// A RetentionPolicy is what one call of [Retainer].Retain has said, within the bounds. It is
// for drivers, and never changes: two that are the same pointer say the same of every channel.
// Methods may be called concurrently.
type RetentionPolicy struct {
	common, longest Retention
	of              func(channel string) Retention
}

// NewRetentionPolicy returns the policy of a driver whose Historian.Retention is common and
// whose Retain was called with longest and of. With a nil function it is the one that counts
// before.
func NewRetentionPolicy(common, longest Retention, of func(channel string) Retention) *RetentionPolicy {
	return &RetentionPolicy{
		common: common,
		longest: Retention{
			MaxMessages: max(common.MaxMessages, min(longest.MaxMessages, MaxHistorySize)),
			MaxAge:      max(common.MaxAge, min(longest.MaxAge, MaxHistory)),
		},
		of: of,
	}
}

// Of returns what is kept of a channel. It calls the function that Retain was given.
func (p *RetentionPolicy) Of(channel string) Retention {
	if p.of == nil || strings.HasPrefix(channel, ReservedPrefix) {
		return p.common
	}
	r := p.of(channel)
	if r.MaxMessages == 0 {
		r.MaxMessages = p.common.MaxMessages
	}
	if r.MaxAge == 0 {
		r.MaxAge = p.common.MaxAge
	} else {
		r.MaxAge = max(r.MaxAge, MinHistory)
	}
	return Retention{min(max(r.MaxMessages, 1), p.longest.MaxMessages), min(r.MaxAge, p.longest.MaxAge)}
}

// Longest returns what is at least what Of returns of any channel, with the most messages and
// the longest time.
func (p *RetentionPolicy) Longest() Retention { return p.longest }

// Life returns for how long a channel of which r is kept is remembered as a whole after it was
// used last: for its MaxAge, and at least for as long as Historian.Keep promises.
func (p *RetentionPolicy) Life(r Retention) time.Duration {
	return max(r.MaxAge, min(p.common.MaxAge, LeastLife))
}
