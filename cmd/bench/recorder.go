package bench

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are kept to three digits from a microsecond to ten minutes; longer
// ones count as ten minutes.
const (
	minLatency = time.Microsecond
	maxLatency = 10 * time.Minute
	digits     = 3
)

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(int64(minLatency), int64(maxLatency), digits)
}

// record counts a latency that may be out of range.
func record(h *hdrhistogram.Histogram, latency time.Duration) {
	_ = h.RecordValue(int64(min(max(latency, 0), maxLatency))) // in range, so it cannot fail
}

// shards is how many recorders the subscribers of a round share: enough for them
// to meet rarely, and few enough to fit into memory.
const shards = 16

// A recorder collects what some of the subscribers hear.
type recorder struct {
	distinct atomic.Int64 // messages that arrived, each once

	mu      sync.Mutex
	latency *hdrhistogram.Histogram
	last    time.Duration // of the latest arrival, since the epoch
}

func newRecorders() []*recorder {
	recorders := make([]*recorder, shards)
	for i := range recorders {
		recorders[i] = &recorder{latency: newHistogram()}
	}
	return recorders
}

// add records messages that arrived at once, of which distinct were new.
func (r *recorder) add(now time.Duration, intended []time.Duration, distinct int64) {
	r.mu.Lock()
	for _, at := range intended {
		record(r.latency, now-at)
	}
	r.last = max(r.last, now)
	r.mu.Unlock()
	r.distinct.Add(distinct)
}
