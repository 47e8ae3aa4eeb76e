package server

import (
	"errors"
	"math"
	"net/url"
	"strconv"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// maxLastID is the longest text in bytes that a client says it heard last; more is no cursor.
const maxLastID = 1 << 10

// queryStarts returns where the query asks to begin in each of channels, nil where
// it asks for nothing.
func queryStarts(query url.Values, channels []string, keeps bool) ([]transport.Start, error) {
	since, last := query["since"], query["history"]
	switch {
	case len(since) > 0 && len(last) > 0:
		return nil, badRequest("two_ways", "Begin with since or with history, not with both.")
	case len(since) > 0:
		return sinceStarts(channels, since)
	case len(last) == 0:
		return nil, nil
	}
	n, err := parseCount(last, item.MaxHistory)
	if err != nil {
		return nil, badRequest("bad_history", "Give history once, as a number of messages from 1 to 1000.")
	}
	if !keeps {
		return nil, badRequest("no_history", "This server keeps no history.")
	}
	starts := make([]transport.Start, len(channels))
	for i := range starts {
		starts[i].Last = n
	}
	return starts, nil
}

// sinceStarts continues each channel behind its own cursor. Where there is none,
// the client is told that the channel is not continued: it may have missed
// something there.
func sinceStarts(channels, cursors []string) ([]transport.Start, error) {
	if len(cursors) > len(channels) {
		return nil, badRequest("bad_cursor", "There are more cursors in since than channels.")
	}
	starts := unrecovered(channels)
	for _, cursor := range cursors {
		if !assignCursor(starts, channels, cursor) {
			return nil, badRequest("bad_cursor", "A cursor in since is not one that this server gives.")
		}
	}
	return starts, nil
}

// resume is sinceStarts for what a client says by itself. That is not always what
// it was given, and the client cannot be made to say anything else, so nothing is
// an error.
func resume(channels []string, id string) []transport.Start {
	starts := unrecovered(channels)
	if len(id) <= maxLastID {
		assignCursor(starts, channels, id)
	}
	return starts
}

func unrecovered(channels []string) []transport.Start {
	starts := make([]transport.Start, len(channels))
	for i := range starts {
		starts[i].Since = true
	}
	return starts
}

// assignCursor puts a cursor into the Start of its channel, if that is among channels. It
// reports whether it is a cursor.
func assignCursor(starts []transport.Start, channels []string, cursor string) bool {
	for i, channel := range channels {
		p, err := transport.ParseCursor(channel, cursor)
		switch {
		case errors.Is(err, transport.ErrCursor):
			return false
		case err == nil && starts[i].After.IsZero():
			starts[i].After = p
			return true
		}
	}
	return true
}

var errCount = errors.New("server: not one number in the range")

// parseCount returns the one number from 1 to most that values has, in decimal digits.
func parseCount(values []string, most int) (int, error) {
	if len(values) != 1 {
		return 0, errCount
	}
	n, err := strconv.ParseUint(values[0], 10, 31) // which takes no sign
	if err != nil || n < 1 || n > uint64(most) {
		return 0, errCount
	}
	return int(n), nil
}

// beforeOldest is a position that no message has, as epochs are never 0: a client that reads
// on from there gets the oldest messages that are kept.
var beforeOldest = broker.Position{Seq: 1}

// behindNewest is a position behind all others.
var behindNewest = broker.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64}

// sinceOf returns the position that the one cursor in values stands for, zero
// where there is none, and beforeOldest where it is of another channel or of a time before
// there was any message.
func sinceOf(channel string, values []string) (broker.Position, error) {
	if len(values) == 0 {
		return broker.Position{}, nil
	}
	p, err := transport.ParseCursor(channel, values[0])
	switch {
	case len(values) > 1:
		return p, badRequest("bad_cursor", "There is more than one cursor in since.")
	case errors.Is(err, transport.ErrForeignCursor), err == nil && p == transport.Outset:
		return beforeOldest, nil
	case err != nil:
		return p, badRequest("bad_cursor", "The cursor in since is not one that this server gives.")
	}
	return p, nil
}
