package server

import (
	"cmp"
	"encoding/json"
	"net/http"
	"unicode/utf8"

	"github.com/pregon/pregon/server/hub"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// Bounds of what a client may ask for in a body.
const (
	manyChannels = 1000     // where Limits.Channels has no number
	wishesBody   = 64 << 10 // bytes of a body, and
	wishBody     = 1 << 10  // for each channel that it may name
)

var wishesTypes = []string{"application/json"}

// readWishes returns the channels that the body of r asks for. See readBody for verdict.
func (s *Server) readWishes(w http.ResponseWriter, r *http.Request, format transport.Format, verdict error) ([]transport.Subscription, error) {
	if _, err := mediaType(r.Header, wishesTypes); err != nil {
		return nil, err
	}
	body, err := readBody(w, r, wishesBody+int64(s.mostWishes())*wishBody, verdict)
	if err != nil {
		return nil, err
	}
	wishes, err := wishesOf(body)
	if err != nil {
		return nil, err
	}
	return s.parseWishes(r, wishes, format)
}

// mostWishes returns how many channels a body may name.
func (s *Server) mostWishes() int { return cmp.Or(s.options.Limits.Channels, manyChannels) }

// parseWishes returns the distinct channels of an array. A problem with one has its position as the
// member index.
func (s *Server) parseWishes(r *http.Request, wishes json.RawMessage, format transport.Format) ([]transport.Subscription, error) {
	var subs []transport.Subscription
	seen := map[string]bool{}
	for raw, err := range elements(wishes) {
		if err != nil {
			return nil, badRequest("bad_command", "The member channels is an array of objects.")
		}
		if len(subs) == s.mostWishes() {
			return nil, hub.ErrChannels
		}
		sub, err := s.parseWish(raw, format)
		if err == nil && seen[sub.Channel] {
			err = transport.ErrSubscribed
		}
		if err != nil {
			return nil, s.problemOfWish(r, len(subs), err)
		}
		seen[sub.Channel] = true
		subs = append(subs, sub)
	}
	if len(subs) == 0 {
		return nil, badRequest("no_channel", "The member channels names no channel.")
	}
	return subs, nil
}

// wishesOf returns the one member of the object that a body is.
func wishesOf(body []byte) (json.RawMessage, error) {
	switch {
	case !utf8.Valid(body):
		return nil, badRequest("invalid_utf8", "The body is not valid UTF-8.")
	case !item.Valid(body):
		return nil, badRequest("bad_json", "The body is not valid JSON.")
	}
	members, err := item.Object(body, "channels")
	if err != nil {
		return nil, badRequest("bad_command", "The body is an object with one member channels, once, and no others.")
	}
	return members["channels"], nil
}

// parseWish returns what a client asks of one channel.
func (s *Server) parseWish(raw json.RawMessage, format transport.Format) (transport.Subscription, error) {
	members, err := item.Object(raw, "channel", "since", "history", "presence", "member")
	if err != nil {
		return transport.Subscription{}, badRequest("bad_command",
			"A channel is asked for by an object with the members channel, since or history, presence and member, each once, and no others.")
	}
	if len(members["channel"]) == 0 {
		return transport.Subscription{}, badRequest("no_channel", "The object names no channel.")
	}
	name, err := channelName(members["channel"], "bad_command")
	if err != nil {
		return transport.Subscription{}, err
	}
	wish := item.Wish{Since: members["since"], History: members["history"], Presence: members["presence"], Member: members["member"]}
	sub, err := wish.Subscription(name, s.node.KeepsHistory())
	if err == nil && sub.Presence {
		err = checkTellsPresence(format)
	}
	return sub, err
}

// problemOfWish returns the answer where err is what is wrong with the channel at index i of a body.
func (s *Server) problemOfWish(r *http.Request, i int, err error) error {
	p := *s.problemOf(r, err) // others may have it, too
	p.Extensions = map[string]any{"index": i}
	return &p
}
