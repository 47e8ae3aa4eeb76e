package presence

import (
	"sync"

	"github.com/pregon/pregon/transport"
)

// An Event is what observers of a channel are told: one of Members and Presence. It is shared by all
// of them, and not to be changed.
type Event struct {
	Members  *transport.Members
	Presence *transport.Presence

	mu      sync.Mutex
	encoded []encoded // seldom more than one
}

type encoded struct {
	by    transport.Encoding
	bytes []byte
}

// Encode returns the Event as an Encoding has it, and nothing where that has no words for it.
// For each Encoding that is done once.
func (v *Event) Encode(by transport.Encoding) []byte {
	e, ok := by.(transport.PresenceEncoding)
	if !ok {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, known := range v.encoded {
		if known.by == by {
			return known.bytes
		}
	}
	var bytes []byte
	if v.Members != nil {
		bytes = e.Members(*v.Members)
	} else {
		bytes = e.Presence(*v.Presence)
	}
	v.encoded = append(v.encoded, encoded{by, bytes})
	return bytes
}
