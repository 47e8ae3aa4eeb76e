package metrics_test

import (
	"bytes"
	"flag"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"github.com/pregon/pregon/server/metrics"
)

var update = flag.Bool("update", false, "write the golden list anew")

// scrape returns what Prometheus is shown.
func scrape(m *metrics.Metrics) []byte {
	w := httptest.NewRecorder()
	m.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.Bytes()
}

func fresh() *metrics.Metrics {
	return metrics.New(metrics.Options{Version: "v1.2.3", Read: func() metrics.Snapshot {
		return metrics.Snapshot{BadTokens: map[string]uint64{"expired": 1}, CertificateEnds: time.Unix(1800000000, 0), Published: 7, Ready: true, Broker: &metrics.Link{Up: true}, Connections: map[string]int{"ws": 1}, Refusals: map[string]uint64{"forbidden": 1},
			Gaps:          map[string]uint64{"overrun": 1},
			DeliveryTimes: metrics.Times{Count: 3, Sum: 2 * time.Second, Under: map[time.Duration]uint64{time.Millisecond: 2}}}
	}})
}

// Names, units and help follow the conventions of Prometheus.
func TestFiguresFollowTheConventions(t *testing.T) {
	problems, err := promlint.New(bytes.NewReader(scrape(fresh()))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

var series = regexp.MustCompile(`(?m)^(?:# TYPE )?(pregon_[^ ]+)( (?:gauge|counter|histogram))?`)

// Dashboards and alerts are built on names, types and labels: a change is one of the changelog, too.
func TestFiguresAreTheGoldenOnes(t *testing.T) {
	const golden = "testdata/figures.txt"
	var list []string
	for _, m := range series.FindAllStringSubmatch(string(scrape(fresh())), -1) {
		if !strings.HasPrefix(m[1], "pregon_build_info{") { // which differs with each build
			list = append(list, m[1]+m[2])
		}
	}
	slices.Sort(list)
	got := strings.Join(slices.Compact(list), "\n") + "\n"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// What is read and observed is shown, beside the build, the runtime and the process.
func TestFiguresAreShown(t *testing.T) {
	m := fresh()
	m.RoundTrip(2 * time.Millisecond)
	shown := string(scrape(m))
	for _, want := range []string{
		"pregon_ready 1\n", `pregon_publishes_total{outcome="published"} 7`, `pregon_publish_duration_seconds_bucket{le="0.001"} 0`,
		`pregon_publish_duration_seconds_bucket{le="0.0025"} 1`,
		`pregon_delivery_duration_seconds_bucket{le="0.001"} 2`, `pregon_delivery_duration_seconds_bucket{le="+Inf"} 3`, "pregon_delivery_duration_seconds_sum 2\n", "pregon_build_info{goversion=\"go", `version="v1.2.3"} 1`, "\ngo_goroutines ",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("no %q in\n%s", want, shown)
		}
	}
}
