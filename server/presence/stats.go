package presence

// Stats are an Engine's figures at one moment.
type Stats struct {
	Nodes       int    // that are known, this one included
	Differently int    // of these, nodes with another configuration than this one
	Members     int    // of channels, on all nodes together: a member of two channels counts twice
	Rejected    uint64 // messages that no node of this version has sent, since the Engine began
}

// Count returns how many members a channel has, as far as this node knows.
func (e *Engine) Count(channel string) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.channel(channel); c != nil {
		return len(c.people)
	}
	return 0
}

// Stats returns the Engine's figures.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Stats{Nodes: len(e.others) + 1, Members: e.present, Rejected: e.counts.rejected}
	for _, n := range e.others {
		if n.differently {
			s.Differently++
		}
	}
	return s
}
