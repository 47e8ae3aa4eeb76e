package sse

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

var comment = []byte(":\n\n")

// An encoding is a Format as events of the stream.
type encoding struct {
	format transport.Format
	events transport.Format // in which gaps are told, whatever the format
}

// Message implements transport.Encoding.
func (e *encoding) Message(m broker.Message) []byte {
	var room [512]byte
	payload, isBinary := e.format.AppendMessage(room[:0], m)
	id := transport.Cursor(m.Channel, m.Position)
	if isBinary {
		payload = base64.StdEncoding.AppendEncode(nil, payload)
		return AppendEvent(nil, "binary", id, payload)
	}
	return AppendEvent(nil, "", id, payload)
}

// Gap implements transport.Encoding. It has no id: the last message before it is
// where a client continues.
func (e *encoding) Gap(g transport.Gap) []byte {
	payload, _ := e.events.AppendGap(nil, g)
	return AppendEvent(nil, "gap", "", payload)
}

// Subscribed implements transport.Encoding. It has no id, as the messages that it
// announces are yet to come.
func (e *encoding) Subscribed(s transport.Subscribed) []byte {
	payload, _ := e.events.AppendSubscribed(nil, s)
	return AppendEvent(nil, "subscribed", "", payload)
}

// Ping implements transport.Encoding.
func (e *encoding) Ping() []byte { return comment }

// End implements transport.Encoding. A stream that ends says so by ending.
func (e *encoding) End(transport.End) []byte { return nil }

// AppendEvent appends one event to dst. The name, which must not contain line
// ends, may be empty: EventSource then calls the event "message". The id may be
// empty, and is left out where EventSource could not read it back: with line ends
// it would become fields of its own, and one with NUL is ignored.
func AppendEvent(dst []byte, name, id string, payload []byte) []byte {
	dst = growFor(dst, len(name)+len(id)+len(payload))
	if name != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, name...)
		dst = append(dst, '\n')
	}
	if id != "" && !strings.ContainsAny(id, "\r\n\x00") {
		dst = append(dst, "id: "...)
		dst = append(dst, id...)
		dst = append(dst, '\n')
	}
	for {
		end := bytes.IndexAny(payload, "\r\n")
		dst = append(dst, "data: "...)
		if end < 0 {
			dst = append(dst, payload...)
			return append(dst, "\n\n"...)
		}
		dst = append(dst, payload[:end]...)
		dst = append(dst, '\n')
		if payload[end] == '\r' && end+1 < len(payload) && payload[end+1] == '\n' {
			end++
		}
		payload = payload[end+1:]
	}
}

// growFor makes room for an event of one line.
func growFor(dst []byte, size int) []byte {
	const fields = len("event: \nid: \ndata: \n\n")
	if cap(dst)-len(dst) >= size+fields {
		return dst
	}
	return append(make([]byte, 0, len(dst)+size+fields), dst...)
}
