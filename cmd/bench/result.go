package bench

import (
	"slices"
	"time"
)

func newResult(o *Options, rounds []*measurement) Result {
	r := Result{Rounds: len(rounds)}
	publish, delivery := newHistogram(), newHistogram()
	for _, m := range rounds {
		r.count(m)
		publish.Merge(m.publish)
		delivery.Merge(m.delivery)
		r.Series = m.series
	}
	r.Publish, r.Delivery = newLatency(publish), newLatency(delivery)
	r.Seconds, _ = median(rounds, func(m *measurement) (float64, bool) { return m.took.Seconds(), true })
	r.Deliveries, _ = median(rounds, func(m *measurement) (float64, bool) { return perSecond(m.heard.received, m.took), true })
	r.Publications, _ = median(rounds, func(m *measurement) (float64, bool) { return perSecond(m.published, m.publishing), true })
	r.ServerCPU = medianOf(rounds, func(m *measurement) (float64, bool) { return m.perDelivery(m.serverCPU), m.cpuKnown })
	r.ClientCPU = medianOf(rounds, func(m *measurement) (float64, bool) { return m.perDelivery(m.clientCPU), m.clientKnown })
	r.Memory = medianOf(rounds, func(m *measurement) (float64, bool) {
		return float64(m.memory) / float64(o.Subscribers), m.memKnown
	})
	return r
}

// count adds the counts of one round.
func (r *Result) count(m *measurement) {
	r.Published += m.published
	r.PublishFailed += m.refused
	r.Expected += m.expected
	r.Received += m.heard.received
	r.Lost += m.lost
	r.Duplicated += m.heard.duplicated
	r.Reordered += m.heard.reordered
	r.Corrupt += m.heard.corrupt
	r.Gaps += m.heard.gaps
	r.Disconnected += m.disconnected
	if r.Problem == "" && m.problem != nil {
		r.Problem = m.problem.Error()
	}
}

// perDelivery returns microseconds.
func (m *measurement) perDelivery(cpu time.Duration) float64 {
	return float64(cpu.Nanoseconds()) / 1e3 / float64(max(1, m.heard.received))
}

func perSecond(n int64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return float64(n) / d.Seconds()
}

// median returns that of a figure over the rounds where it is known, or false
// where there are none.
func median(rounds []*measurement, figure func(*measurement) (float64, bool)) (float64, bool) {
	var values []float64
	for _, m := range rounds {
		if v, known := figure(m); known {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle], true
	}
	return (values[middle-1] + values[middle]) / 2, true
}

// medianOf is median with nil for what is not known.
func medianOf(rounds []*measurement, figure func(*measurement) (float64, bool)) *float64 {
	v, known := median(rounds, figure)
	if !known {
		return nil
	}
	return &v
}
