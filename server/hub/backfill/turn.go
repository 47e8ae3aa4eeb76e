package backfill

import "sync/atomic"

// A turn is Hear's, to deliver one message without the channel's lock. A fill begins by waiting
// for the end of it. That is not a lock, which Hear would have to take once more for each message.
type turn struct {
	state atomic.Int32
	over  chan struct{} // closed by end where somebody waits
}

const (
	idle int32 = iota
	delivering
	awaited
)

// begin is called with the channel's lock, and while it is not filled.
func (t *turn) begin() { t.state.Store(delivering) }

// taken reports whether a message may just be on its way. The caller holds the channel's lock.
func (t *turn) taken() bool { return t.state.Load() != idle }

func (t *turn) end() {
	if t.state.Swap(idle) == awaited {
		close(t.over)
	}
}

// await is called by one fill. As the channel is filled by then, no other turn begins.
func (t *turn) await() {
	t.over = make(chan struct{})
	if t.state.CompareAndSwap(delivering, awaited) {
		<-t.over
	}
}
