package transport

import (
	"encoding/json"
	"time"
)

// An Identity is who a caller is, and what it was granted. It is zero for strangers, those
// who come without a credential. What an Identity may do in the end, the server's rules say.
// It is not to be changed once it was handed over, nor are the slices in it.
type Identity struct {
	Kind Kind

	// Subject is the name of a User within the program, and of whom a Backend acts for; empty
	// where there is none. Messages that are published with a subject carry it.
	Subject string

	// Info is JSON about a User for others to see, as its token has it: at most 1 KiB.
	Info json.RawMessage

	// Expires is when the credential ends, zero for never. From then on nothing is allowed
	// that was not before; its connections are closed five seconds later, give or take half
	// a second, so that those which expire together do not all come back at once.
	Expires time.Time

	// Subscribe and Publish are patterns of channels, as package server/access/pattern has
	// them. A User is granted these and nothing else, as far as the rules ask for a grant. A
	// Backend is bounded by them alone: where both are nil it may do everything, and
	// with one of them that and nothing else. A pattern that is not valid matches nothing.
	Subscribe, Publish []string

	Key   string // the name of a Backend's key in the configuration
	Admin bool   // a Backend that may also administer the server
}

// A Kind is by what right a caller comes.
type Kind int

// Kinds of callers.
const (
	Stranger Kind = iota // without a credential
	User                 // by a token
	Backend              // by a key, or the program itself
)

// String returns the word for a caller of that kind.
func (k Kind) String() string {
	switch k {
	case User:
		return "user"
	case Backend:
		return "backend"
	default:
		return "stranger"
	}
}
