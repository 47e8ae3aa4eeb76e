package metrics

import "time"

// A Snapshot has a server's figures at one moment. Those of type uint64 count since the server began.
type Snapshot struct {
	Ready bool // as /readyz says

	Broker *Link // nil where the broker has no link that could be lost

	CertificateEnds time.Time // of the first one to end, zero without TLS

	Connections      map[string]int // clients that listen, by transport
	ConnectionsLimit int            // the most of them
	Waiting          int            // requests that wait for news
	Channels         int            // that are heard from the broker
	ChannelsLimit    int            // the most of one client, 0 for any number
	BodyBytes        int64          // of the bodies of requests under way, their first 16 KiB left out
	BodyBytesLimit   int64          // the most of them
	QueueBytes       int64          // that wait for clients

	Members        int // of channels, on all nodes together
	Nodes          int // that tell each other of members
	DifferentNodes int // of these, nodes with other keys or rules

	Published, Repeated, Refused, Failed, Unknown uint64 // messages of callers, by what became of them

	Heard    uint64 // messages from the broker
	Unkept   uint64 // of these, messages that are in no history
	Rejected uint64 // messages that claim a place in a history and cannot prove it
	Fills    uint64 // times that a history was read because messages may have been lost
	Filled   uint64 // messages read from the history in place of lost ones

	Gaps map[string]uint64 // places on channels where messages may be missing, by reason

	Delivered      uint64 // messages to single clients
	DeliveredBytes uint64 // of these

	DeliveryTimes Times // from the feed to the last client of a worker

	Recovered, NotRecovered uint64 // clients that asked to be continued

	Disconnected, Stalled, CaughtUp uint64 // slow clients, by what became of them
	Dropped                         uint64 // messages to single clients

	Refusals map[string]uint64 // requests and commands that were answered with a problem, by its code

	BadTokens map[string]uint64 // tokens that were not valid, by reason

	RefusedConnections  uint64 // connections and listeners beyond a limit
	RefusedPublications uint64 // messages of callers that publish too fast
	RefusedBodies       uint64 // bodies for which there was no room
}

// A Link is how the connection to the broker is by which messages are heard.
type Link struct {
	Up       bool
	Restored uint64 // times that it stood again after it was lost
}

// Times are how long something took.
type Times struct {
	Count uint64
	Sum   time.Duration
	Under map[time.Duration]uint64 // how many took no longer than that
}
