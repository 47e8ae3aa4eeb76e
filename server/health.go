package server

import (
	"errors"
	"io"
	"net/http"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// healthz answers while the process lives.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) error { return ok(w) }

// readyz answers 200 where a message has just gone through the broker and come
// back through our own subscription. What the broker may lose without a word follows on a line of its own.
func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) error {
	if s.leaving.Load() && !s.handedOver.Load() {
		return draining()
	}
	if err := s.hub.Ready(); err != nil {
		s.log.Debug("server: not ready", "error", err)
		return &transport.Problem{Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: 1,
			Detail: notReady(err)}
	}
	if lost := s.notPromised(); lost != "" {
		return say(w, "ok\nnot promised: "+lost+"\n")
	}
	return ok(w)
}

// notPromised returns what the broker may lose without a word to anybody, "" for nothing. The first
// time that there is something it is logged: the broker may not have been there at the start.
func (s *Server) notPromised() string {
	lost := broker.NotPromised(s.options.Broker)
	if lost != "" {
		s.tellLosses.Do(func() { s.log.Warn("server: the broker does not tell of every loss", "not_promised", lost) })
	}
	return lost
}

// notReady says why messages do not come back, as far as it is nobody's secret.
func notReady(err error) string {
	const what = "Messages do not come back through the broker"
	switch {
	case errors.Is(err, broker.ErrDenied):
		return what + ": it refuses this node. The log says why."
	case errors.Is(err, broker.ErrUnavailable):
		return what + ": it cannot be reached, or takes none now (out of memory, read-only, loading). The log says why."
	default:
		return what + "."
	}
}

func ok(w http.ResponseWriter) error { return say(w, "ok\n") }

func say(w http.ResponseWriter, text string) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, text) // a prober that has gone is no error of ours
	return nil
}
