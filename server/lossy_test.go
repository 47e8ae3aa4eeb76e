package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A forgetful broker loses messages once it is set.
type forgetful struct {
	broker.Broker
	atomic.Bool
}

func (f *forgetful) NotPromised() string {
	if f.Load() {
		return "Every other message may be lost."
	}
	return ""
}

// A server whose broker may lose messages without a word is ready, and says on both its addresses what is not promised. It is
// logged once, when it is known.
func TestReadyzSaysWhatIsNotPromised(t *testing.T) {
	var log lines
	b := &forgetful{Broker: memory.New()}
	defer b.Close()
	n := start(t, server.Options{Broker: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer n.stop()
	if err := n.server.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, body := n.get("/readyz"); status != http.StatusOK || body != "ok\n" || log.containing("every loss") != "" {
		t.Errorf("while nothing is lost: %d %q, %s", status, body, log.containing("loss"))
	}
	b.Store(true)
	const want = "ok\nnot promised: Every other message may be lost.\n"
	if status, body := n.get("/readyz"); status != http.StatusOK || body != want {
		t.Errorf("%d %q", status, body)
	}
	if status, body := n.ask(http.MethodGet, n.admin(false)+"/readyz"); status != http.StatusOK || body != want {
		t.Errorf("for operators: %d %q", status, body)
	}
	if said := log.containing("every loss"); strings.Count(said, "\n") != 1 || !strings.Contains(said, "level=WARN") || !strings.Contains(said, "Every other message may be lost.") {
		t.Errorf("logged: %s", said)
	}
	if status, body := n.get("/healthz"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
}
