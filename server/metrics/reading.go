package metrics

import (
	"fmt"
	"io"
	"maps"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// A Reading has the figures that somebody was shown, by name. It does not change.
type Reading struct{ samples map[string][]sample }

// A sample is one value of a figure.
type sample struct {
	labels map[string]string
	value  float64
}

// Read reads what a server's /metrics answers in the text format, at most limit bytes of it. Histograms and summaries
// are left out.
func Read(r io.Reader, limit int64) (Reading, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(io.LimitReader(r, limit))
	if err != nil {
		return Reading{}, fmt.Errorf("metrics: read figures: %w", err)
	}
	read := Reading{samples: map[string][]sample{}}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			s := sample{labels: map[string]string{}}
			for _, l := range m.GetLabel() {
				s.labels[l.GetName()] = l.GetValue()
			}
			switch {
			case m.GetCounter() != nil:
				s.value = m.GetCounter().GetValue()
			case m.GetGauge() != nil:
				s.value = m.GetGauge().GetValue()
			case m.GetUntyped() != nil:
				s.value = m.GetUntyped().GetValue()
			default:
				continue
			}
			read.samples[name] = append(read.samples[name], s)
		}
	}
	return read, nil
}

// Value returns a figure, summed over all labels. It is not ok where there is none.
func (r Reading) Value(name string) (sum float64, ok bool) {
	for _, s := range r.samples[name] {
		sum += s.value
	}
	return sum, len(r.samples[name]) > 0
}

// By returns the values of a figure that are not 0, by the value of a label.
func (r Reading) By(name, label string) map[string]float64 {
	by := map[string]float64{}
	for _, s := range r.samples[name] {
		by[s.labels[label]] += s.value
	}
	maps.DeleteFunc(by, func(_ string, value float64) bool { return value == 0 })
	return by
}
