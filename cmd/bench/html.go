package bench

import (
	_ "embed"
	"html/template"
	"io"
	"math"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Parse(pageText))

// WriteHTML writes the report as one page with plots, which needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	return page.Execute(w, struct {
		*Report
		Verdict     string
		Problem     error
		Figures     []figure
		Latencies   []namedLatency
		Plots       []plot
		Histogram   []htmlBar
		PlotTop     float64
		PlotAxis    float64
		PlotLeft    float64
		PlotRight   float64
		Width, High float64
	}{
		r, r.verdict(), r.Err(), r.figures(), r.latencies(), r.plots(), htmlBars(r.Server.Delivery),
		plotTop, plotHeight - plotBottom, plotLeft, plotWidth - plotRight, plotWidth, plotHeight,
	})
}

// plots are the throughput over time and the percentiles.
func (r *Report) plots() []plot {
	throughput := []data{seriesOf("server", r.Server.Series)}
	delivery := []data{curveOf("server", r.Server.Delivery)}
	publish := []data{curveOf("server", r.Server.Publish)}
	if r.Floor != nil {
		throughput = append(throughput, seriesOf("floor", r.Floor.Series))
		delivery = append(delivery, curveOf("floor", r.Floor.Delivery))
		publish = append(publish, curveOf("floor", r.Floor.Publish))
	}
	return []plot{
		newPlot("Throughput", "deliveries/s", "seconds", throughput, nil),
		newPlot("Delivery latency", "ms", "percentile", delivery, percentTicks()),
		newPlot("Publish latency", "ms", "percentile", publish, percentTicks()),
	}
}

func seriesOf(name string, samples []Sample) data {
	d := data{name: name}
	for _, s := range samples {
		d.x, d.y = append(d.x, s.Seconds), append(d.y, s.Deliveries)
	}
	return d
}

// curveOf puts percentiles on an axis where each halving of what is left takes
// the same room. The maximum is at the end.
func curveOf(name string, l Latency) data {
	d := data{name: name}
	for _, p := range l.Curve {
		at := halvings(p.Percent)
		if p.Percent == 100 {
			at = math.Log2(float64(max(2, l.Count)))
		}
		d.x, d.y = append(d.x, at), append(d.y, p.Milliseconds)
	}
	return d
}

func halvings(percent float64) float64 { return -math.Log2(1 - percent/100) }

func percentTicks() []tick {
	return []tick{
		{0, "0"}, {halvings(50), "50"}, {halvings(90), "90"}, {halvings(99), "99"},
		{halvings(99.9), "99.9"}, {halvings(99.99), "99.99"}, {halvings(99.999), "99.999"}, {halvings(99.9999), "99.9999"},
	}
}

// An htmlBar is a bucket of the histogram, wide in percent of the widest.
type htmlBar struct {
	Label          string
	Width, Percent float64
	Count          int64
}

func htmlBars(l Latency) (bars []htmlBar) {
	var most int64 = 1
	for _, b := range l.Histogram {
		most = max(most, b.Count)
	}
	for _, b := range l.Histogram {
		bars = append(bars, htmlBar{b.label(), 100 * float64(b.Count) / float64(most), 100 * float64(b.Count) / float64(l.Count), b.Count})
	}
	return bars
}
