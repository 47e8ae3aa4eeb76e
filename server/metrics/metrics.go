package metrics

import (
	"cmp"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Options say what a Metrics shows.
type Options struct {
	// Version is the program's. Default what the build says of its main module.
	Version string
	// Read returns the figures of now. It is called for each scrape, concurrently, and must not wait.
	Read func() Snapshot
}

// Metrics are the figures of one server. All methods may be called concurrently.
type Metrics struct {
	http.Handler // answers with the figures, to anybody

	roundTrip prometheus.Histogram
}

// New returns the Metrics of what o.Read returns, of the process, and of the build. They start nothing
// and need no end.
func New(o Options) *Metrics {
	m := &Metrics{roundTrip: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "pregon_publish_duration_seconds",
		Help:    "Time that the broker took for a publication, one message or a batch.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})}
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collector{o.Read}, m.roundTrip, buildInfo(o.Version),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	m.Handler = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	return m
}

// RoundTrip observes how long the broker took for a publication.
func (m *Metrics) RoundTrip(took time.Duration) { m.roundTrip.Observe(took.Seconds()) }

// buildInfo is always 1; its labels say which build this is.
func buildInfo(version string) prometheus.Collector {
	revision := ""
	if info, ok := debug.ReadBuildInfo(); ok {
		version = cmp.Or(version, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				revision = s.Value
			}
		}
	}
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pregon_build_info", Help: "Which build this is, always 1.",
		ConstLabels: prometheus.Labels{"version": cmp.Or(version, "unknown"), "revision": cmp.Or(revision, "unknown"), "goversion": runtime.Version()},
	}, func() float64 { return 1 })
}
