package socket

import "sync/atomic"

// waitingShards is how many counters the Sockets of a Group share. A Group's Sockets are written to
// by as many goroutines as there are processors, and these would take one counter from each other.
const waitingShards = 16

// waiting counts the bytes that wait in the Sockets of a Group. Only what could not be written at
// once is counted, so that a Socket whose peer takes everything never comes here.
type waiting struct {
	next   atomic.Uint32
	shards [waitingShards]struct {
		bytes atomic.Int64
		_     [56]byte // a cache line of its own
	}
}

// shard returns the counter of one more Socket.
func (w *waiting) shard() uint8 { return uint8(w.next.Add(1) % waitingShards) }

// Waiting returns how many bytes wait in the Group's Sockets now, or are being written, because their
// peers have not taken them yet.
func (g *Group) Waiting() int64 {
	var sum int64
	for i := range g.waiting.shards {
		sum += g.waiting.shards[i].bytes.Load()
	}
	return sum
}

// count is called after each change of the queue, with the lock.
func (s *Socket) count() {
	now := 0
	if s.queue != nil && s.state != closed {
		now = s.queue.bytes
	}
	if now != s.counted {
		s.group.waiting.shards[s.shard].bytes.Add(int64(now - s.counted))
		s.counted = now
	}
}
