package bench

import (
	"context"
	"time"
)

// Kinds of events.
const (
	Nothing = nothing
	Message = message
	GapTold = gap
	Ping    = ping
	GoodBye = goodBye

	Welcome    = welcome
	Subscribed = subscribed
	Published  = published
	Failed     = failed
)

// An EventKind is what an event is.
type EventKind = eventKind

// An Event is one that has its data for itself.
type Event struct {
	Kind eventKind
	Data string
}

// decoderOf returns a new decoder of a transport.
func decoderOf(transport string) decoder {
	switch transport {
	case "sse":
		return &events{}
	case "live":
		return &conversation{}
	}
	return &frames{}
}

// Decode returns the events of a stream that arrives in these chunks, those of
// kind nothing left out, and how many bytes of it are left over.
func Decode(transport string, chunks ...[]byte) (found []Event, rest int, err error) {
	d := decoderOf(transport)
	var buf []byte
	for _, chunk := range chunks {
		buf = append(buf, chunk...)
		for {
			e, n, err := d.next(buf)
			if err != nil {
				return found, len(buf), err
			}
			if n == 0 {
				break
			}
			if e.kind != nothing {
				found = append(found, Event{e.kind, string(e.data)})
			}
			buf = buf[n:]
		}
	}
	return found, len(buf), nil
}

// Judge returns what a sequence says of these numbers: i for in order, l for
// late, r for repeated; and how many of the published it misses.
func Judge(published int64, numbers ...int64) (verdicts string, missing int64) {
	var s sequence
	for _, n := range numbers {
		verdicts += string("ilr"[s.hear(n)])
	}
	return verdicts, s.missing(published)
}

// Pace returns a pacer's wait.
func Pace(epoch time.Time, start time.Duration, rate float64) func(context.Context, int) (time.Duration, bool) {
	return pacer{epoch: epoch, start: start, rate: rate}.wait
}

// Stamp writes a stamp and reads it again.
func Stamp(message []byte, publisher int, number int64, intended time.Duration) (int, int64, time.Duration, bool) {
	stamp{publisher, number, intended}.put(message)
	s, ok := parseStamp(message)
	return s.publisher, s.number, s.intended, ok
}

// IsStamped reports whether message begins with a stamp.
func IsStamped(message []byte) bool { _, ok := parseStamp(message); return ok }

// What tests of a server of their own need.
var (
	AcceptKey     = acceptKey
	AppendControl = appendControl
)

// SummaryOf returns the Latency of these times.
func SummaryOf(times ...time.Duration) Latency {
	h := newHistogram()
	for _, t := range times {
		record(h, t)
	}
	return newLatency(h)
}
