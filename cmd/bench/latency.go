package bench

import (
	"math"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A Latency is a distribution of times, in milliseconds.
type Latency struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`

	// Histogram is buckets from the first that has something in it to the
	// last.
	Histogram []Bucket `json:"histogram"`
	// Curve is percentiles towards 100, closer and closer.
	Curve []Percentile `json:"curve"`
}

// A Bucket is how many times there were from From up to To, in milliseconds.
type Bucket struct {
	From  float64 `json:"from_ms"`
	To    float64 `json:"to_ms"`
	Count int64   `json:"count"`
}

// A Percentile says that so many percent of the times are at most Milliseconds.
type Percentile struct {
	Percent      float64 `json:"percent"`
	Milliseconds float64 `json:"ms"`
}

func newLatency(h *hdrhistogram.Histogram) Latency {
	return Latency{
		Count: h.TotalCount(), Mean: milliseconds(h.Mean()),
		P50: atPercent(h, 50), P90: atPercent(h, 90), P99: atPercent(h, 99), P999: atPercent(h, 99.9),
		Max: milliseconds(float64(h.Max())), Histogram: buckets(h), Curve: curve(h),
	}
}

// milliseconds turns nanoseconds into milliseconds, to a nanosecond.
func milliseconds(ns float64) float64 { return math.Round(ns) / 1e6 }

func atPercent(h *hdrhistogram.Histogram, percent float64) float64 {
	return milliseconds(float64(h.ValueAtQuantile(percent)))
}

// buckets puts the times between bounds.
func buckets(h *hdrhistogram.Histogram) []Bucket {
	var all []Bucket
	i := 0
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		for i < len(bounds)-2 && bar.From >= bounds[i+1] {
			i++
			if len(all) > 0 {
				all = append(all, bucketAt(i))
			}
		}
		if len(all) == 0 {
			all = append(all, bucketAt(i))
		}
		all[len(all)-1].Count += bar.Count
	}
	return all
}

func bucketAt(i int) Bucket {
	return Bucket{From: milliseconds(float64(bounds[i])), To: milliseconds(float64(bounds[i+1]))}
}

// bounds are 0 and 1, 2, 5, 10, … microseconds up to more than maxLatency, in
// nanoseconds.
var bounds = func() []int64 {
	all := []int64{0}
	for power := int64(minLatency); power <= int64(maxLatency); power *= 10 {
		all = append(all, power, 2*power, 5*power)
	}
	return all
}()

// curve has five percentiles a halving of what is left, until that is less than
// one time in all.
func curve(h *hdrhistogram.Histogram) []Percentile {
	if h.TotalCount() == 0 {
		return nil
	}
	var points []Percentile
	for i := 0; ; i++ {
		left := math.Exp2(-float64(i) / 5)
		if left*float64(h.TotalCount()) < 1 {
			break
		}
		percent := 100 * (1 - left)
		points = append(points, Percentile{percent, atPercent(h, percent)})
	}
	return append(points, Percentile{100, milliseconds(float64(h.Max()))})
}
