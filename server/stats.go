package server

// Stats are the figures of a Server at one moment.
type Stats struct {
	Connections int // clients that listen
	Waiting     int // requests that wait for news
	Channels    int // that are heard from the broker, the server's own included

	Members        int // of channels, on all nodes together: one of two channels counts twice
	Nodes          int // that tell each other of members, this one included; 0 where no channel has presence
	DifferentNodes int // of these, nodes with other keys or rules than this one

	// Since the Server began:
	Heard        uint64 // messages from the broker
	Unkept       uint64 // of these, messages of other programs that are in no history
	Rejected     uint64 // messages that claim a place in a history and cannot prove it
	Gaps         uint64 // places on channels where messages may be missing, as clients are told
	Filled       uint64 // messages read from the history because the subscription had lost them
	CaughtUp     uint64 // times that a client which did not read fast enough was fed from the history
	Disconnected uint64 // clients that did not read fast enough, or nothing at all
	Dropped      uint64 // messages to single clients that did not read fast enough

	// Refused, since the Server began:
	RefusedCallers      uint64 // requests whose caller may not, or is not known
	RefusedConnections  uint64 // connections and listeners beyond a limit
	RefusedPublications uint64 // messages of callers that publish too fast
	RefusedBodies       uint64 // bodies for which there was no room
}

// Stats returns the Server's figures: those that /metrics has.
func (s *Server) Stats() Stats {
	now := s.hub.Stats()
	publications, listeners := s.node.Limited()
	present := s.node.Present()
	return Stats{
		Members: present.Members, Nodes: present.Nodes, DifferentNodes: present.Differently,
		Connections: now.Sessions, Waiting: int(s.polls.Load()), Channels: now.Channels,
		Heard: now.Heard, Unkept: now.Outside, Rejected: now.Rejected, Gaps: now.Gaps, Filled: now.Filled,
		CaughtUp: now.CaughtUp, Disconnected: now.Disconnected + s.sockets.Stalled(), Dropped: now.Dropped,
		RefusedCallers: s.refused.total.Load(), RefusedConnections: s.refusedListeners.Load() + listeners + s.accepted.refused(),
		RefusedPublications: publications, RefusedBodies: s.bodies.refused.Load(),
	}
}
