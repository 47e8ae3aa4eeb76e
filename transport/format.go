package transport

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"

	"github.com/pregon/pregon/broker"
)

// A Format says what a client reads of a message, whatever the protocol.
type Format interface {
	Name() string
	// AppendMessage appends the payload of m to dst and reports whether it is
	// binary rather than text.
	AppendMessage(dst []byte, m broker.Message) (payload []byte, binary bool)
	// AppendGap appends the payload that tells of g. It reports false where
	// the format has no room for anything but messages.
	AppendGap(dst []byte, g Gap) (payload []byte, ok bool)
	// AppendSubscribed appends the payload that tells of s. It reports false
	// where the format has no room for anything but messages.
	AppendSubscribed(dst []byte, s Subscribed) (payload []byte, ok bool)
	// AppendMembers and AppendPresence append the payload that tells of m or p. They report
	// false where the format has no room for anything but messages.
	AppendMembers(dst []byte, m Members) (payload []byte, ok bool)
	AppendPresence(dst []byte, p Presence) (payload []byte, ok bool)
}

var formats = []Format{textFormat{}, rawFormat{}, jsonFormat{}}

// Formats returns all Formats.
func Formats() []Format { return slices.Clone(formats) }

// FormatByName returns the Format of that name.
func FormatByName(name string) (Format, bool) {
	for _, f := range formats {
		if f.Name() == name {
			return f, true
		}
	}
	return nil, false
}

// textFormat is "[channel] message", for people and for many channels at once.
type textFormat struct{}

func (textFormat) Name() string { return "text" }

func (textFormat) AppendMessage(dst []byte, m broker.Message) ([]byte, bool) {
	dst = append(dst, '[')
	dst = append(dst, m.Channel...)
	dst = append(dst, "] "...)
	return append(dst, m.Data...), m.Binary
}

func (textFormat) AppendGap(dst []byte, _ Gap) ([]byte, bool) { return dst, false }

func (textFormat) AppendSubscribed(dst []byte, _ Subscribed) ([]byte, bool) { return dst, false }

func (textFormat) AppendMembers(dst []byte, _ Members) ([]byte, bool) { return dst, false }

func (textFormat) AppendPresence(dst []byte, _ Presence) ([]byte, bool) { return dst, false }

// rawFormat is the message alone.
type rawFormat struct{}

func (rawFormat) Name() string { return "raw" }

func (rawFormat) AppendMessage(dst []byte, m broker.Message) ([]byte, bool) {
	return append(dst, m.Data...), m.Binary
}

func (rawFormat) AppendGap(dst []byte, _ Gap) ([]byte, bool) { return dst, false }

func (rawFormat) AppendSubscribed(dst []byte, _ Subscribed) ([]byte, bool) { return dst, false }

func (rawFormat) AppendMembers(dst []byte, _ Members) ([]byte, bool) { return dst, false }

func (rawFormat) AppendPresence(dst []byte, _ Presence) ([]byte, bool) { return dst, false }

// jsonFormat is one object a message, with room for events beside messages.
type jsonFormat struct{}

func (jsonFormat) Name() string { return "json" }

func (jsonFormat) AppendMessage(dst []byte, m broker.Message) ([]byte, bool) {
	e := event{Type: "message", Channel: m.Channel, ID: Cursor(m.Channel, m.Position), By: m.By}
	data := string(m.Data)
	if m.Binary {
		data = base64.StdEncoding.EncodeToString(m.Data)
		e.Encoding = "base64"
	}
	e.Data = &data
	return appendJSON(dst, e), false
}

func (jsonFormat) AppendGap(dst []byte, g Gap) ([]byte, bool) {
	return appendJSON(dst, event{
		Type: "gap", Channel: g.Channel, Reason: string(g.Reason),
		From: Cursor(g.Channel, g.From), To: Cursor(g.Channel, g.To),
	}), true
}

func (jsonFormat) AppendSubscribed(dst []byte, s Subscribed) ([]byte, bool) {
	return appendJSON(dst, event{
		Type: "subscribed", Channel: s.Channel, Recovered: &s.Recovered, ID: Cursor(s.Channel, s.Position),
	}), true
}

func (jsonFormat) AppendMembers(dst []byte, m Members) ([]byte, bool) {
	e := membersEvent{Type: "members", Channel: m.Channel, Count: m.Count, Members: m.Members, More: m.More}
	if m.Members == nil {
		e.Members = []Member{}
	}
	if m.Incomplete {
		e.Complete = new(bool)
	}
	return appendJSON(dst, e), true
}

func (jsonFormat) AppendPresence(dst []byte, p Presence) ([]byte, bool) {
	return appendJSON(dst, presenceEvent{Type: "presence", Channel: p.Channel, Joined: p.Joined, Left: p.Left, Count: p.Count}), true
}

// A membersEvent is Members as clients parse it.
type membersEvent struct {
	Type     string   `json:"type"`
	Channel  string   `json:"channel"`
	Count    int      `json:"count"`
	Members  []Member `json:"members"`
	More     bool     `json:"more,omitempty"`
	Complete *bool    `json:"complete,omitempty"` // only where it is false
}

// A presenceEvent is a Presence as clients parse it.
type presenceEvent struct {
	Type    string   `json:"type"`
	Channel string   `json:"channel"`
	Joined  []Member `json:"joined,omitempty"`
	Left    []string `json:"left,omitempty"`
	Count   int      `json:"count,omitempty"`
}

// An event is what clients of the json format parse.
type event struct {
	Type     string  `json:"type"`
	Channel  string  `json:"channel"`
	Data     *string `json:"data,omitempty"`     // messages only
	Encoding string  `json:"encoding,omitempty"` // "base64" for binary messages
	ID       string  `json:"id,omitempty"`       // cursor, where there is history

	By *broker.Author `json:"by,omitempty"` // messages only: who published it, where the server says so

	Recovered *bool  `json:"recovered,omitempty"` // subscribed only
	Reason    string `json:"reason,omitempty"`    // gaps only, and so are the rest
	From      string `json:"from,omitempty"`      // cursor
	To        string `json:"to,omitempty"`        // cursor
}

// appendJSON leaves <, > and & as they are: nothing here is put into HTML.
func appendJSON(dst []byte, e any) []byte {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err) // strings always encode, and the JSON in them is valid
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}
