package hub

import (
	"sync/atomic"
	"time"
)

// meterWindow is the time over which messages are counted.
const meterWindow = 10 * time.Second

// A meter counts the messages of a window of time and of the one before: so it knows about how many come per second, without
// a timer. One goroutine at a time counts; anyone may read, and get a little wrong what changes in that moment.
type meter struct {
	window atomic.Int64 // since 1970
	count  atomic.Int64 // in it
	before atomic.Int64 // in the one before
}

// add counts one message, which has come now.
func (m *meter) add(now time.Time) {
	window := now.UnixNano() / int64(meterWindow)
	if last := m.window.Load(); window != last {
		before := int64(0)
		if window == last+1 {
			before = m.count.Load()
		}
		m.before.Store(before)
		m.count.Store(0)
		m.window.Store(window)
	}
	m.count.Store(m.count.Load() + 1)
}

// rate returns messages per second: what has come in this window, and of the one before the part that is within the last ten seconds.
func (m *meter) rate() float64 {
	now := time.Now().UnixNano()
	passed := float64(now%int64(meterWindow)) / float64(meterWindow)
	var n float64
	switch now/int64(meterWindow) - m.window.Load() {
	case 0:
		n = float64(m.count.Load()) + (1-passed)*float64(m.before.Load())
	case 1:
		n = (1 - passed) * float64(m.count.Load())
	}
	return n / meterWindow.Seconds()
}
