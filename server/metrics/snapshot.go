package metrics

// A Snapshot has a server's figures at one moment. Those of type uint64 count since the server began.
type Snapshot struct {
	Ready bool // as /readyz says

	Connections      int   // clients that listen
	ConnectionsLimit int   // the most of them
	Waiting          int   // requests that wait for news
	Channels         int   // that are heard from the broker
	BodyBytes        int64 // of the bodies of requests under way, their first 16 KiB left out
	BodyBytesLimit   int64 // the most of them

	Members        int // of channels, on all nodes together
	Nodes          int // that tell each other of members
	DifferentNodes int // of these, nodes with other keys or rules

	Published, Repeated, Refused, Failed, Unknown uint64 // messages of callers, by what became of them

	Heard    uint64 // messages from the broker
	Unkept   uint64 // of these, messages that are in no history
	Rejected uint64 // messages that claim a place in a history and cannot prove it
	Gaps     uint64 // places on channels where messages may be missing
	Filled   uint64 // messages read from the history in place of lost ones

	Disconnected, Stalled, CaughtUp uint64 // slow clients, by what became of them
	Dropped                         uint64 // messages to single clients

	RefusedCallers      uint64 // requests whose caller may not, or is not known
	RefusedConnections  uint64 // connections and listeners beyond a limit
	RefusedPublications uint64 // messages of callers that publish too fast
	RefusedBodies       uint64 // bodies for which there was no room
}
