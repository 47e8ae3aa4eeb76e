package sse

import (
	"bytes"
	"encoding/base64"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// comment keeps the connection alive. No blank line follows: some clients dispatch an
// empty message at each blank line, whatever is before it.
var comment = []byte(":\n")

// An encoding is a Format as events of the stream. It is the Control of its clients, too:
// they need nothing of their own.
type encoding struct {
	format  transport.Format
	events  transport.Format // in which gaps are told, whatever the format
	chunked bool             // each event is a chunk
	ping    []byte
}

func newEncoding(format, events transport.Format, chunked bool) *encoding {
	e := &encoding{format: format, events: events, chunked: chunked}
	e.ping = e.block(comment)
	return e
}

// Message implements transport.Encoding.
func (e *encoding) Message(m broker.Message) []byte {
	var room [512]byte
	payload, isBinary := e.format.AppendMessage(room[:0], m)
	id := transport.Cursor(m.Channel, m.Position)
	if isBinary {
		return e.event("binary", id, base64.StdEncoding.AppendEncode(nil, payload))
	}
	return e.event("", id, payload)
}

// Gap implements transport.Encoding. It has no id: the last message before it is
// where a client continues.
func (e *encoding) Gap(g transport.Gap) []byte {
	payload, _ := e.events.AppendGap(nil, g)
	return e.event("gap", "", payload)
}

var _ transport.PresenceEncoding = (*encoding)(nil)

// Members implements transport.PresenceEncoding. Like Presence it returns nothing where the
// format cannot express it.
func (e *encoding) Members(m transport.Members) []byte {
	payload, ok := e.format.AppendMembers(nil, m)
	return e.told("members", payload, ok)
}

// Presence implements transport.PresenceEncoding.
func (e *encoding) Presence(p transport.Presence) []byte {
	payload, ok := e.format.AppendPresence(nil, p)
	return e.told("presence", payload, ok)
}

// told returns the event of a payload without an id, nil where the format has none.
func (e *encoding) told(name string, payload []byte, ok bool) []byte {
	if !ok {
		return nil
	}
	return e.event(name, "", payload)
}

// Ping implements transport.Control.
func (e *encoding) Ping() []byte { return e.ping }

// Close implements transport.Control. A stream that ends says so by ending.
func (e *encoding) Close(transport.CloseReason) []byte { return nil }

// event returns one event as it is sent.
func (e *encoding) event(name, id string, payload []byte) []byte {
	if !e.chunked {
		return AppendEvent(nil, name, id, payload)
	}
	room := make([]byte, maxChunkHead, maxChunkHead+eventSize(name, id, payload)+len(chunkEnd))
	return chunk(AppendEvent(room, name, id, payload))
}

// block returns whole lines as they are sent.
func (e *encoding) block(lines []byte) []byte {
	if !e.chunked {
		return lines
	}
	return chunkOf(lines)
}

// AppendEvent appends one event to dst. The name, which must not contain line
// ends, may be empty: EventSource then calls the event "message". The id may be
// empty, and is left out where EventSource could not read it back: with line ends
// it would become fields of its own, and one with NUL is ignored.
func AppendEvent(dst []byte, name, id string, payload []byte) []byte {
	if size := len(dst) + eventSize(name, id, payload); size > cap(dst) {
		dst = append(make([]byte, 0, size), dst...)
	}
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

// eventSize is how many bytes an event has whose payload is one line.
func eventSize(name, id string, payload []byte) int {
	return len("event: \nid: \ndata: \n\n") + len(name) + len(id) + len(payload)
}
