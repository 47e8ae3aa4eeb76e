package transport

import "encoding/json"

// Bounds of what is told of a channel's members.
const (
	// MaxMembers is the most members of one page.
	MaxMembers = 500
	// MaxTold is the most members that a channel may have for changes to be told by name:
	// above, clients are told how many there are.
	MaxTold = 1000
)

// A Member is somebody in a channel: a subject, however many connections it has there.
type Member struct {
	Subject string          `json:"sub"`
	Info    json.RawMessage `json:"info,omitempty"` // JSON, as its token has it

	// Connections is how many of its connections hear the channel, on all nodes together;
	// zero where that is not told.
	Connections int `json:"connections,omitempty"`
}

// A MembersQuery asks for members in the order of their subjects' bytes.
type MembersQuery struct {
	After string // only subjects behind this one; empty for the first page
	Limit int    // of members; at most MaxMembers, which 0 stands for
}

// Members are one page of those who are in a channel. What is in it is shared, and not to be
// changed.
type Members struct {
	Channel string
	Count   int      // of all members, whatever the page has
	Members []Member // in the order of their subjects' bytes
	More    bool     // there are further pages

	// Incomplete says that some node has not yet said which members it has, so that others
	// may be missing. Those of this node are there.
	Incomplete bool
}

// A Presence tells of members that have come and gone since a client was told the last
// page of Members, or the last Presence. What is in it is shared, and not to be changed.
type Presence struct {
	Channel string
	Joined  []Member // one that the client knows has changed
	Left    []string // subjects

	// Count is how many members there are. It stands alone, where there are too many for the
	// changes to be told, and is zero otherwise.
	Count int
}

// A PresenceEncoding is an Encoding that can tell who is in a channel. Clients of others are
// not told: the server refuses their wish.
type PresenceEncoding interface {
	Encoding
	Members(m Members) []byte
	Presence(p Presence) []byte
}
