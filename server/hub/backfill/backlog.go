package backfill

import "github.com/pregon/pregon/broker"

// Bounds of what waits behind a hole, for each channel.
const (
	waitingMessages = 4096
	waitingBytes    = 4 << 20
)

// A backlog is what waits behind a hole: messages, and losses among them.
type backlog struct {
	waiting []broker.Message // oldest first
	bytes   int              // of their payloads
	outside int              // of waiting: how many are in no history, losses included
	read    int              // how many of waiting had come before the last reading began
}

// add keeps m, and reports whether there was room.
func (b *backlog) add(m broker.Message) bool {
	if len(b.waiting) >= waitingMessages || b.bytes+len(m.Data) > waitingBytes {
		return false
	}
	b.append(m)
	return true
}

func (b *backlog) append(m broker.Message) {
	b.waiting = append(b.waiting, m)
	b.bytes += len(m.Data)
	if m.Position.IsZero() {
		b.outside++
	}
}

// lose notes behind what waits that messages which are in no history may be missing.
func (b *backlog) lose(reason broker.GapReason) {
	if n := len(b.waiting); n == 0 || !isLoss(b.waiting[n-1]) {
		b.append(lossOf(reason))
	}
}

// head returns the oldest that waits.
func (b *backlog) head() (m broker.Message, ok bool) {
	if len(b.waiting) == 0 {
		return m, false
	}
	return b.waiting[0], true
}

// shift takes the head away.
func (b *backlog) shift() {
	m := b.waiting[0]
	b.waiting[0] = broker.Message{} // it may be large
	b.waiting, b.read = b.waiting[1:], max(0, b.read-1)
	b.bytes -= len(m.Data)
	if m.Position.IsZero() {
		b.outside--
	}
}

// lossOf stands among messages that wait where others, which are in no history, may be missing.
func lossOf(reason broker.GapReason) broker.Message { return broker.Message{Data: []byte(reason)} }

func isLoss(m broker.Message) bool { return m.Channel == "" }
