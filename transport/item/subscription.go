package item

import (
	"bytes"
	"errors"
	"strconv"

	"github.com/pregon/pregon/transport"
)

// MaxHistory is how many messages a client may ask for when it begins to hear a channel.
const MaxHistory = 1000

// A Wish is what a client wants of a channel that it is to hear: members of an object, each a valid
// JSON value, or empty where it is not there.
type Wish struct{ Since, History, Presence, Member []byte }

// Subscription returns w for a channel of a valid name. keepsHistory says whether there is a history
// to begin in. Nothing of w is kept.
func (w Wish) Subscription(channel string, keepsHistory bool) (transport.Subscription, error) {
	start, err := w.start(channel, keepsHistory)
	if err != nil {
		return transport.Subscription{}, err
	}
	s := transport.Subscription{Channel: channel, Start: start}
	switch string(w.Presence) {
	case "", "false":
	case "true":
		s.Presence = true
	default:
		return transport.Subscription{}, bad("bad_presence", "The member presence is true or false.")
	}
	if len(w.Member) > 0 {
		s.Member, err = member(w.Member)
	}
	return s, err
}

// start returns where to begin. A cursor of another channel cannot be continued from, and is no
// error.
func (w Wish) start(channel string, keepsHistory bool) (transport.Start, error) {
	switch {
	case len(w.Since) > 0 && len(w.History) > 0:
		return transport.Start{}, bad("two_ways", "Begin with since or with history, not with both.")
	case len(w.Since) > 0:
		cursor, _ := Text(w.Since) // which is no cursor where that is no string
		after, err := transport.ParseCursor(channel, cursor)
		if err != nil && !errors.Is(err, transport.ErrForeignCursor) {
			return transport.Start{}, bad("bad_cursor", "The cursor in since is not one that this server gives.")
		}
		return transport.Start{Since: true, After: after}, nil
	case len(w.History) == 0:
		return transport.Start{}, nil
	}
	n, err := strconv.ParseUint(string(w.History), 10, 31) // which takes no sign
	switch {
	case err != nil || n < 1 || n > MaxHistory:
		return transport.Start{}, bad("bad_history", "Give history as a number of messages from 1 to 1000.")
	case !keepsHistory:
		return transport.Start{}, bad("no_history", "This server keeps no history.")
	}
	return transport.Start{Last: int(n)}, nil
}

// member returns who a client says it is. Whether it may, and may be called so, the server says.
func member(value []byte) (*transport.Member, error) {
	members, err := Object(value, "sub", "info")
	sub := members["sub"]
	if err != nil || len(sub) == 0 || HasLoneSurrogate(sub) {
		return nil, badMember()
	}
	subject, isText := Text(sub)
	switch {
	case !isText:
		return nil, badMember()
	case subject == "":
		return nil, bad("bad_member", "The sub of a member must not be empty.")
	}
	return &transport.Member{Subject: subject, Info: bytes.Clone(members["info"])}, nil
}

func badMember() *transport.Problem {
	return bad("bad_member", "A member is an object with sub, a string, and, if you like, info.")
}
