package live

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A kind is what a command asks for.
type kind uint8

const (
	none kind = iota // nothing that is known
	subscribe
	unsubscribe
	publish
	members
	renew
)

// kinds are the kinds by their name on the wire, with the members that a command has beside type
// and ref.
var kinds = map[string]struct {
	kind  kind
	takes []member
}{
	"subscribe":   {subscribe, []member{mChannel, mSince, mHistory, mPresence, mMember}},
	"unsubscribe": {unsubscribe, []member{mChannel}},
	"publish":     {publish, []member{mChannel, mData, mEncoding, mKey}},
	"members":     {members, []member{mChannel}},
	"renew":       {renew, []member{mToken}},
}

// A command is what a client asks for. Once it waits, only the queue changes it.
type command struct {
	kind    kind
	ref     []byte // JSON, as it came; empty for none
	channel string // empty for a renew

	subscription *transport.Subscription // of a subscribe
	message      broker.Message          // of a publish
	token        string                  // of a renew

	size        int // of its data in bytes, while it waits
	begun, done bool
	answered    bool // of a subscribe, guarded by the lock of the connection
}
