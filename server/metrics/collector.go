package metrics

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// A figure is one value of a Snapshot, or one for each value of its label.
type figure struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	label bool // whether it has one
	// values returns them by the value of the label; of a figure without one there is one, by "".
	values func(Snapshot) map[string]float64
}

// A number is what a Snapshot has.
type number interface{ int | int64 | uint64 }

// gauge is a figure that rises and falls.
func gauge[T number](name, help string, value func(Snapshot) T) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.GaugeValue, false, one(value)}
}

// counter is a figure that only rises.
func counter(name, help string, value func(Snapshot) uint64) figure {
	return figure{prometheus.NewDesc(name, help, nil, nil), prometheus.CounterValue, false, one(value)}
}

// gauges are a gauge for each value of a label.
func gauges[T number](name, help, label string, values func(Snapshot) map[string]T) figure {
	return figure{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.GaugeValue, true, each(values)}
}

// counters are a counter for each value of a label.
func counters(name, help, label string, values func(Snapshot) map[string]uint64) figure {
	return figure{prometheus.NewDesc(name, help, []string{label}, nil), prometheus.CounterValue, true, each(values)}
}

// one returns the values of a figure without a label.
func one[T number](value func(Snapshot) T) func(Snapshot) map[string]float64 {
	return func(s Snapshot) map[string]float64 { return map[string]float64{"": float64(value(s))} }
}

// each returns the values of a figure with a label.
func each[T number](values func(Snapshot) map[string]T) func(Snapshot) map[string]float64 {
	return func(s Snapshot) map[string]float64 {
		all := map[string]float64{}
		for label, value := range values(s) {
			all[label] = float64(value)
		}
		return all
	}
}

// deliveryTimes is the one distribution that a Snapshot has.
var deliveryTimes = prometheus.NewDesc("pregon_delivery_duration_seconds",
	"Time from when a message came from the broker until one worker had handed it to all of its clients, once per message and worker.", nil, nil)

// histogram returns the figure of t.
func (t Times) histogram() prometheus.Metric {
	under := make(map[float64]uint64, len(t.Under))
	for bound, n := range t.Under {
		under[bound.Seconds()] = n
	}
	return prometheus.MustNewConstHistogram(deliveryTimes, t.Count, t.Sum.Seconds(), under)
}

// A collector makes figures of a Snapshot when they are asked for.
type collector struct{ read func() Snapshot }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range figures {
		out <- f.desc
	}
	out <- deliveryTimes
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	now := c.read()
	for _, f := range figures {
		values := f.values(now)
		for _, label := range slices.Sorted(maps.Keys(values)) {
			var labels []string
			if f.label {
				labels = []string{label}
			}
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, values[label], labels...)
		}
	}
	out <- now.DeliveryTimes.histogram()
}
