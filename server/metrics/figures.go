package metrics

// figures are what is shown of a Snapshot. README.md of the server says what each means and when to worry.
var figures = []figure{
	gauge("pregon_ready", "Whether messages go through the broker and come back, and the server is not stopping.", func(s Snapshot) int {
		return yes(s.Ready)
	}),
	whereLinked(gauge("pregon_broker_link_up", "Whether the connection to the broker by which messages are heard stands.", func(s Snapshot) int { return yes(s.Broker.Up) })),
	whereLinked(counter("pregon_broker_link_restored_total", "Times that this connection stood again after it was lost.", func(s Snapshot) uint64 { return s.Broker.Restored })),
	whereCertified(gauge("pregon_certificate_expiry_timestamp_seconds", "When the certificate of the server ends, in seconds since 1970.", func(s Snapshot) int64 { return s.CertificateEnds.Unix() })),
	gauges("pregon_connections", "Clients that listen, by transport.", "transport", func(s Snapshot) map[string]int { return s.Connections }),
	gauge("pregon_connections_limit", "The most clients that may listen at once.", func(s Snapshot) int { return s.ConnectionsLimit }),
	gauge("pregon_waiting_requests", "Requests that wait for news.", func(s Snapshot) int { return s.Waiting }),
	gauge("pregon_channels", "Channels that are heard from the broker.", func(s Snapshot) int { return s.Channels }),
	gauge("pregon_connection_channels_limit", "The most channels that one client may have, 0 for any number.", func(s Snapshot) int { return s.ChannelsLimit }),
	gauge("pregon_bodies_bytes", "Bytes of the bodies of all requests under way, the first 16 KiB of each left out.", func(s Snapshot) int64 { return s.BodyBytes }),
	gauge("pregon_bodies_limit_bytes", "The most bytes of such bodies.", func(s Snapshot) int64 { return s.BodyBytesLimit }),

	gauge("pregon_presence_members", "Members of channels, on all nodes together, as this one knows them.", func(s Snapshot) int { return s.Members }),
	gauge("pregon_presence_nodes", "Nodes that tell each other who is in a channel, this one included; 0 where no channel has presence.", func(s Snapshot) int { return s.Nodes }),
	gauge("pregon_presence_nodes_different", "Of these, nodes with other keys or rules than this one.", func(s Snapshot) int { return s.DifferentNodes }),

	counters("pregon_publishes_total", "Messages of this node's callers, by what became of them.", "outcome", func(s Snapshot) map[string]uint64 {
		return map[string]uint64{"published": s.Published, "repeated": s.Repeated, "refused": s.Refused, "failed": s.Failed, "unknown": s.Unknown}
	}),
	counter("pregon_messages_heard_total", "Messages from the broker.", func(s Snapshot) uint64 { return s.Heard }),
	counter("pregon_messages_unkept_total", "Of these, messages of other programs that are in no history.", func(s Snapshot) uint64 { return s.Unkept }),
	counter("pregon_messages_rejected_total", "Messages that claim a place in a history and cannot prove it.", func(s Snapshot) uint64 { return s.Rejected }),
	counter("pregon_fills_total", "Times that the history of a channel was read because the subscription may have lost messages.", func(s Snapshot) uint64 { return s.Fills }),
	counter("pregon_messages_filled_total", "Messages read from the history because the subscription had lost them.", func(s Snapshot) uint64 { return s.Filled }),
	counters("pregon_gaps_total", "Places on channels where messages may be missing, by the reason that clients are told.", "reason", func(s Snapshot) map[string]uint64 { return s.Gaps }),

	counter("pregon_deliveries_total", "Messages to single clients that were handed to their connections.", func(s Snapshot) uint64 { return s.Delivered }),
	counter("pregon_sent_bytes_total", "Bytes of these messages as they are framed, ahead of TLS.", func(s Snapshot) uint64 { return s.DeliveredBytes }),
	gauge("pregon_queue_bytes", "Bytes that wait for clients which have not taken them yet.", func(s Snapshot) int64 { return s.QueueBytes }),
	counters("pregon_resumes_total", "Times that a client asked to be continued in a channel, by what it was told.", "verdict", func(s Snapshot) map[string]uint64 {
		return map[string]uint64{"recovered": s.Recovered, "not_recovered": s.NotRecovered}
	}),
	counters("pregon_slow_clients_total", "Clients that did not read fast enough, by what became of them.", "outcome", func(s Snapshot) map[string]uint64 {
		return map[string]uint64{"disconnected": s.Disconnected, "stalled": s.Stalled, "caught_up": s.CaughtUp}
	}),
	counter("pregon_slow_clients_messages_dropped_total", "Messages to single clients dropped because they did not read fast enough.", func(s Snapshot) uint64 { return s.Dropped }),

	counters("pregon_refusals_total", "Requests, and commands of clients, that were answered with a problem, by its code.", "code", func(s Snapshot) map[string]uint64 { return s.Refusals }),
	counters("pregon_tokens_refused_total", "Tokens that were not valid, by reason.", "reason", func(s Snapshot) map[string]uint64 { return s.BadTokens }),
	counter("pregon_connections_refused_total", "Connections and listeners beyond a limit.", func(s Snapshot) uint64 { return s.RefusedConnections }),
	counter("pregon_publications_refused_total", "Messages of callers that publish too fast.", func(s Snapshot) uint64 { return s.RefusedPublications }),
	counter("pregon_bodies_refused_total", "Bodies of requests for which there was no room.", func(s Snapshot) uint64 { return s.RefusedBodies }),
}

// yes is 1 for true.
func yes(is bool) int {
	if is {
		return 1
	}
	return 0
}

// whereLinked returns f, which is shown only where the broker has a link that could be lost.
func whereLinked(f figure) figure {
	return where(func(s Snapshot) bool { return s.Broker != nil }, f)
}

// whereCertified is likewise for a server with a certificate.
func whereCertified(f figure) figure {
	return where(func(s Snapshot) bool { return !s.CertificateEnds.IsZero() }, f)
}

// where returns f, left out where it is not shown.
func where(shown func(Snapshot) bool, f figure) figure {
	values := f.values
	f.values = func(s Snapshot) map[string]float64 {
		if !shown(s) {
			return nil
		}
		return values(s)
	}
	return f
}
