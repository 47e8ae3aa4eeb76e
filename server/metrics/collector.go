package metrics

import "github.com/prometheus/client_golang/prometheus"

// A figure is one value of a Snapshot, or one for each value of its label.
type figure struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(Snapshot) []float64 // one for each of labels, or one
	labels []string                 // values of the label, if it has one
}

// gauge is a figure that rises and falls.
func gauge[T int | int64](name, help string, value func(Snapshot) T) figure {
	return figure{
		desc: prometheus.NewDesc(name, help, nil, nil), kind: prometheus.GaugeValue,
		values: func(s Snapshot) []float64 { return []float64{float64(value(s))} },
	}
}

// counter is a figure that only rises.
func counter(name, help string, value func(Snapshot) uint64) figure {
	return figure{
		desc: prometheus.NewDesc(name, help, nil, nil), kind: prometheus.CounterValue,
		values: func(s Snapshot) []float64 { return []float64{float64(value(s))} },
	}
}

// outcomes is a counter of what has several outcomes.
func outcomes(name, help string, labels []string, values func(Snapshot) []float64) figure {
	return figure{prometheus.NewDesc(name, help, []string{"outcome"}, nil), prometheus.CounterValue, values, labels}
}

// A collector makes figures of a Snapshot when they are asked for.
type collector struct{ read func() Snapshot }

// Describe implements prometheus.Collector.
func (c collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range figures {
		out <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	now := c.read()
	for _, f := range figures {
		for i, value := range f.values(now) {
			var labels []string
			if f.labels != nil {
				labels = f.labels[i : i+1]
			}
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
		}
	}
}
