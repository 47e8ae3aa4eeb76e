package live

import "sync/atomic"

const (
	freeBytes   = 4 << 10  // of each frame that is read, and of each message that waits, which count for nothing
	budgetBytes = 64 << 20 // of all others together
)

// A budget bounds what the frames that are being read and the messages that wait to be published take
// up together, for all clients of a Transport.
type budget struct{ used atomic.Int64 }

// take takes n bytes, and reports false where there are not so many.
func (b *budget) take(n int) bool {
	if b.used.Add(int64(n)) > budgetBytes {
		b.give(n)
		return false
	}
	return true
}

// give gives n bytes back.
func (b *budget) give(n int) { b.used.Add(-int64(n)) }
