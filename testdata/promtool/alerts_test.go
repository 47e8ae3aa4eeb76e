// Package promtool_test tries out deploy/alerts.yaml with Prometheus' own packages, which the server
// does not need.
package promtool_test

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"

	"github.com/pregon/pregon/broker/miniredis"
	"github.com/pregon/pregon/server"
	_ "github.com/pregon/pregon/transport/ws"
)

const file = "../../deploy/alerts.yaml"

// rules are those of the file, each of which is as Prometheus takes it.
func rules(t *testing.T) map[string]rulefmt.Rule {
	t.Helper()
	groups, errs := rulefmt.ParseFile(file, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	all := map[string]rulefmt.Rule{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if all[r.Alert].Alert != "" || r.Alert == "" {
				t.Errorf("%q is no alert, or there twice", r.Alert)
			}
			all[r.Alert] = r
		}
	}
	return all
}

// Each alert has what a person needs who is woken by it.
func TestAlertsSayWhatToDo(t *testing.T) {
	for name, r := range rules(t) {
		if !strings.Contains(r.Annotations["summary"], "$labels.instance") || r.Annotations["description"] == "" {
			t.Errorf("%s does not say where, or what", name)
		}
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", name, s)
		}
	}
}

// Each selector selects something that a server shows, its labels included: none stands for a figure that was renamed.
func TestAlertsAreOfFiguresThatAreShown(t *testing.T) {
	shown := series(t)
	for name, r := range rules(t) {
		expr, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			s, ok := n.(*parser.VectorSelector)
			if ok && !slices.ContainsFunc(shown, func(l labels.Labels) bool { return matches(s, l) }) {
				t.Errorf("%s: nothing is shown that is %s", name, s)
			}
			return nil
		})
	}
}

func matches(s *parser.VectorSelector, l labels.Labels) bool {
	return !slices.ContainsFunc(s.LabelMatchers, func(m *labels.Matcher) bool { return !m.Matches(l.Get(m.Name)) })
}

// series are those of a server that has all that shows figures.
func series(t *testing.T) (all []labels.Labels) {
	t.Helper()
	b, err := miniredis.New()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Logger: slog.New(slog.DiscardHandler), CertificateEnds: func() time.Time { return time.Now().Add(time.Hour) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	web := httptest.NewServer(s.Handler())
	defer web.Close()
	answer, err := web.Client().Get(web.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	parse := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parse.TextToMetricFamilies(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	for name, f := range families {
		if f.GetType() == dto.MetricType_HISTOGRAM {
			name += "_bucket"
		}
		for _, m := range f.GetMetric() {
			of := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, name))
			for _, l := range m.GetLabel() {
				of.Set(l.GetName(), l.GetValue())
			}
			all = append(all, of.Labels())
		}
	}
	return all
}

// firing are series with which each alert fires after two hours, and calm those with which it does not.
var firing, calm = map[string]string{
	"PregonNotReady":             `pregon_ready 0x120`,
	"PregonBrokerLinkDown":       `pregon_broker_link_up 0x120`,
	"PregonBrokerLinkUnsteady":   `pregon_broker_link_restored_total 0+1x120`,
	"PregonGaps":                 `pregon_gaps_total{reason="link-lost"} 0x118 1 1`,
	"PregonPublishesFail":        `pregon_publishes_total{outcome="failed"} 0+1x120`,
	"PregonSlowClients":          "pregon_slow_clients_total{outcome=\"stalled\"} 0+3x120\n pregon_connections{transport=\"ws\"} 900x120",
	"PregonDeliveriesSlow":       "pregon_delivery_duration_seconds_bucket{le=\"0.25\"} 0+9x120\n pregon_delivery_duration_seconds_bucket{le=\"0.5\"} 0+10x120\n pregon_delivery_duration_seconds_bucket{le=\"+Inf\"} 0+10x120",
	"PregonConnectionsNearLimit": "pregon_connections{transport=\"ws\"} 40x120\n pregon_connections{transport=\"sse\"} 41x120\n pregon_waiting_requests 0x120\n pregon_connections_limit 100x120",
	"PregonConnectionsRefused":   `pregon_connections_refused_total 0+1x120`,
	"PregonDescriptorsNearLimit": "process_open_fds 95x120\n process_max_fds 100x120\n pregon_ready 1x120",
	"PregonBodiesNearLimit":      "pregon_bodies_bytes 90x120\n pregon_bodies_limit_bytes 100x120",
	"PregonLoginsRefused":        `pregon_refusals_total{code="unauthorized"} 0+60x110 6600+600x10`,
	"PregonMessagesRejected":     `pregon_messages_rejected_total 0x118 1 1`,
	"PregonNodesDiffer":          `pregon_presence_nodes_different 1x120`,
	"PregonCertificateEnds":      `pregon_certificate_expiry_timestamp_seconds 200000x120`,
}, map[string]string{
	"PregonNotReady":             `pregon_ready 1x120`,
	"PregonBrokerLinkDown":       `pregon_broker_link_up 1x120`,
	"PregonBrokerLinkUnsteady":   `pregon_broker_link_restored_total 3x120`,
	"PregonGaps":                 `pregon_gaps_total{reason="link-lost"} 7x120`,
	"PregonPublishesFail":        `pregon_publishes_total{outcome="refused"} 0+1x120`,
	"PregonSlowClients":          "pregon_slow_clients_total{outcome=\"stalled\"} 0+3x120\n pregon_connections{transport=\"ws\"} 9000x120",
	"PregonDeliveriesSlow":       "pregon_delivery_duration_seconds_bucket{le=\"0.25\"} 0+10x120\n pregon_delivery_duration_seconds_bucket{le=\"0.5\"} 0+10x120\n pregon_delivery_duration_seconds_bucket{le=\"+Inf\"} 0+10x120",
	"PregonConnectionsNearLimit": "pregon_connections{transport=\"ws\"} 40x120\n pregon_connections{transport=\"sse\"} 39x120\n pregon_waiting_requests 0x120\n pregon_connections_limit 100x120",
	"PregonConnectionsRefused":   `pregon_connections_refused_total 5x120`,
	"PregonDescriptorsNearLimit": "process_open_fds 95x120\n process_max_fds 100x120", // of another program
	"PregonBodiesNearLimit":      "pregon_bodies_bytes 10x120\n pregon_bodies_limit_bytes 100x120",
	"PregonLoginsRefused":        `pregon_refusals_total{code="unauthorized"} 0+600x120`, // as always
	"PregonMessagesRejected":     `pregon_messages_rejected_total 5x120`,
	"PregonNodesDiffer":          `pregon_presence_nodes_different 0x120`,
	"PregonCertificateEnds":      `pregon_certificate_expiry_timestamp_seconds 2000000x120`,
}

// Each alert fires where it should, and where it should not it does not.
func TestAlertsFire(t *testing.T) {
	engine := promqltest.NewTestEngine(t, false, 0, 10_000)
	at := time.Unix(0, 0).Add(2 * time.Hour)
	all := rules(t)
	if tried := slices.Sorted(maps.Keys(firing)); !slices.Equal(tried, slices.Sorted(maps.Keys(all))) {
		t.Errorf("tried are %v", tried)
	}
	for name, r := range all {
		for want, load := range map[int]string{1: firing[name], 0: calm[name]} {
			storage := promqltest.LoadedStorage(t, "load 1m\n "+load)
			query, err := engine.NewInstantQuery(t.Context(), storage, nil, r.Expr, at)
			if err != nil {
				t.Fatal(err)
			}
			vector, err := query.Exec(t.Context()).Vector()
			if err != nil || len(vector) != want {
				t.Errorf("%s: %d fire, not %d, with %s: %v %v", name, len(vector), want, load, vector, err)
			}
			query.Close()
		}
	}
}
