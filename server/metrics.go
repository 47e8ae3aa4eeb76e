package server

import (
	"fmt"
	"net/http"

	"github.com/pregon/pregon/transport"
)

// checkFigures lets in keys, and whatever comes from this machine.
func (s *Server) checkFigures(r *http.Request) error {
	const detail = "Metrics need a key, but for programs on the server's own machine."
	x := exchangeOf(r)
	switch kind := x.caller.Identity().Kind; {
	case x.denied != nil:
		return x.denied
	case kind == transport.Backend, s.isLocal(r):
		return nil
	case kind == transport.Stranger:
		return s.refuse(r, unauthorized(detail, false), "the figures need a key where others than this machine can ask for them")
	}
	return s.refuse(r, &transport.Problem{Status: http.StatusForbidden, Code: "forbidden", Detail: detail}, "the figures need a key, and this was a token")
}

// metrics answers with the server's figures in the text format of Prometheus.
func (s *Server) metrics(w http.ResponseWriter, r *http.Request) error {
	if err := s.checkFigures(r); err != nil {
		return err
	}
	now := s.Stats()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	for _, m := range []struct {
		name, kind, help string
		value            uint64
	}{
		{"pregon_connections", "gauge", "Clients that listen.", uint64(now.Connections)},
		{"pregon_channels", "gauge", "Channels that are heard from the broker.", uint64(now.Channels)},
		{"pregon_presence_members", "gauge", "Members of channels, on all nodes together, as this one knows them.", uint64(now.Members)},
		{"pregon_presence_nodes", "gauge", "Nodes that tell each other who is in a channel, this one included; 0 where no channel has presence.", uint64(now.Nodes)},
		{"pregon_presence_nodes_different", "gauge", "Of these, nodes with other keys or rules than this one.", uint64(now.DifferentNodes)},
		{"pregon_messages_heard_total", "counter", "Messages from the broker.", now.Heard},
		{"pregon_messages_unkept_total", "counter", "Of these, messages of other programs that are in no history.", now.Unkept},
		{"pregon_messages_rejected_total", "counter", "Messages that claim a place in a history and cannot prove it.", now.Rejected},
		{"pregon_gaps_total", "counter", "Places on channels where messages may be missing, as clients are told.", now.Gaps},
		{"pregon_messages_filled_total", "counter", "Messages read from the history because the subscription had lost them.", now.Filled},
		{"pregon_slow_clients_caught_up_total", "counter", "Times that a client which did not read fast enough was fed from the history.", now.CaughtUp},
		{"pregon_slow_clients_disconnected_total", "counter", "Clients disconnected because they did not read fast enough, or nothing at all.", now.Disconnected},
		{"pregon_slow_clients_messages_dropped_total", "counter", "Messages to single clients dropped because they did not read fast enough.", now.Dropped},
		{"pregon_callers_refused_total", "counter", "Requests whose caller may not do what it wants, or is not known.", now.RefusedCallers},
		{"pregon_connections_refused_total", "counter", "Connections and listeners beyond a limit.", now.RefusedConnections},
		{"pregon_publications_refused_total", "counter", "Messages of callers that publish too fast.", now.RefusedPublications},
		{"pregon_bodies_refused_total", "counter", "Bodies of requests for which there was no room.", now.RefusedBodies},
	} {
		// A scraper that has gone is no error of ours.
		_, _ = fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n%s %d\n", m.name, m.help, m.name, m.kind, m.name, m.value)
	}
	return nil
}
