package stream

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/pregon/pregon/broker"
)

// maxNumber is the highest epoch or number that is believed: Lua's numbers are
// floating point.
const maxNumber = 1<<53 - 1

// maxAhead is how far an epoch may be ahead of the clock and of the life's. Epochs begin
// as the time in microseconds, and clocks may differ.
const maxAhead = 24 * time.Hour

// epochs are those that this node has seen, and so which can be a publication's. Methods
// may be called concurrently.
type epochs struct {
	seen atomic.Uint64 // the highest
	base atomic.Uint64 // that of the newest life
}

// note remembers the epoch of a position that a publication has, as far as this node
// can tell.
func (e *epochs) note(p broker.Position) {
	for old := e.seen.Load(); p.Epoch > old && !e.seen.CompareAndSwap(old, p.Epoch); old = e.seen.Load() {
	}
}

// floor returns an epoch above all that this node has seen. The clock of Redis
// alone would not do: it may have been set bace.
func (e *epochs) floor() string { return strconv.FormatUint(min(e.seen.Load()+1, maxNumber), 10) }

// horizon returns the highest epoch that may be one. It depends on nothing that another
// program can move by adding entries.
func (e *epochs) horizon() uint64 {
	return min(max(e.base.Load(), uint64(time.Now().UnixMicro()))+uint64(maxAhead.Microseconds()), maxNumber)
}

// end returns the id behind all that a node reads of a stream. Other programs may have
// added entries behind it.
func (e *epochs) end() string { return strconv.FormatUint(e.horizon(), 10) }

// begin notes the epoch of a life.
func (e *epochs) begin(epoch uint64) {
	e.base.Store(epoch)
	e.note(broker.Position{Epoch: epoch})
}

// position returns the position that the id of an entry stands for, and notes it. It
// reports false where a publication cannot have it.
func (e *epochs) position(id string) (broker.Position, bool) {
	p, err := broker.ParsePosition(id)
	if err != nil || p.Epoch > e.horizon() || p.Seq > maxNumber {
		return broker.Position{}, false
	}
	e.note(p)
	return p, true
}
