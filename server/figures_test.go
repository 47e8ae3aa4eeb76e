package server_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// brittle is a broker that fails as the text of a message says.
type brittle struct{ broker.Broker }

func (b brittle) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	switch string(m.Data) {
	case "away":
		return broker.Receipt{}, broker.ErrUnavailable
	case "who knows":
		return broker.Receipt{}, broker.ErrUncertain
	case "again":
		return broker.Receipt{Repeated: true}, nil
	}
	return b.Broker.Publish(ctx, m)
}

// Each message of a caller counts once, as what became of it; the round trip is that of what reached the broker.
func TestFiguresOfPublications(t *testing.T) {
	under := memory.New()
	t.Cleanup(func() { _ = under.Close() })
	n := start(t, server.Options{Broker: brittle{under}, Hosts: []string{}, Hooks: server.Hooks{OnPublish: refuseBad}})
	n.post("/publish/a", "text/plain", "one")
	n.post("/publish", "application/json", `[{"channel":"a","data":"two"},{"channel":"a","data":"three"}]`)
	n.post("/publish", "application/json", `[{"channel":"a","data":"four"},{"channel":"a","data":"bad"}]`)
	for _, text := range []string{"bad", "away", "who knows", "again"} {
		n.post("/publish/a", "text/plain", text)
	}
	_, shown := n.get("/metrics")
	for outcome, want := range map[string]int{"published": 3, "refused": 3, "failed": 1, "unknown": 1, "repeated": 1} {
		line := fmt.Sprintf("pregon_publishes_total{outcome=%q} %d\n", outcome, want)
		if !strings.Contains(shown, line) {
			t.Errorf("no %s", line)
		}
	}
	if !strings.Contains(shown, "\npregon_publish_duration_seconds_count 5\n") {
		t.Error("not five round trips")
	}
	if t.Failed() {
		t.Log(shown)
	}
}

// refuseBad refuses "bad".
func refuseBad(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
	if string(m.Data) == "bad" {
		return m, broker.ErrDenied
	}
	return m, nil
}

// Limits are shown beside what they bound, with the version that the program names, and readiness is that of /readyz.
func TestFiguresOfLimitsAndReadiness(t *testing.T) {
	n := start(t, server.Options{MaxConnections: 17, MaxMessage: 1 << 10, MaxBodies: 1 << 20, Version: "v9.8.7", Hosts: []string{}})
	n.ws("/ws/a")
	n.shows(`pregon_connections{transport="ws"} 1`, `pregon_connections{transport="sse"} 0`, "pregon_connections_limit 17", "pregon_bodies_limit_bytes 1.048576e+06", "pregon_bodies_bytes 0", "pregon_ready 1")
	if _, shown := n.get("/metrics"); !strings.Contains(shown, `version="v9.8.7"} 1`) {
		t.Error("another version")
	}
}

// When the certificate ends is shown where there is one.
func TestFigureOfTheCertificate(t *testing.T) {
	var ends time.Time
	n := start(t, server.Options{Hosts: []string{}, CertificateEnds: func() time.Time { return ends }})
	const name = "pregon_certificate_expiry_timestamp_seconds"
	if _, shown := n.get("/metrics"); strings.Contains(shown, name) {
		t.Error("it is shown without a certificate")
	}
	ends = time.Unix(1800000000, 0)
	n.shows(name + " 1.8e+09")
}

// shows checks that /metrics has lines.
func (n *node) shows(lines ...string) {
	n.t.Helper()
	_, shown := n.get("/metrics")
	for _, line := range lines {
		if !strings.Contains(shown, "\n"+line+"\n") {
			n.t.Errorf("no %q in\n%s", line, shown)
		}
	}
}
