package sse

import (
	"bytes"
	"encoding/base64"

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
	if isBinary {
		payload = base64.StdEncoding.AppendEncode(nil, payload)
		return AppendEvent(nil, "binary", payload)
	}
	return AppendEvent(nil, "", payload)
}

// Gap implements transport.Encoding.
func (e *encoding) Gap(g transport.Gap) []byte {
	payload, _ := e.events.AppendGap(nil, g)
	return AppendEvent(nil, "gap", payload)
}

// Subscribed implements transport.Encoding.
func (e *encoding) Subscribed(s transport.Subscribed) []byte {
	payload, _ := e.events.AppendSubscribed(nil, s)
	return AppendEvent(nil, "subscribed", payload)
}

// Ping implements transport.Encoding.
func (e *encoding) Ping() []byte { return comment }

// End implements transport.Encoding. A stream that ends says so by ending.
func (e *encoding) End(transport.End) []byte { return nil }

// AppendEvent appends one event to dst. The name, which must not contain line
// ends, may be empty: EventSource then calls the event "message".
func AppendEvent(dst []byte, name string, payload []byte) []byte {
	dst = growFor(dst, len(name)+len(payload))
	if name != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, name...)
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
	const fields = len("event: \ndata: \n\n")
	if cap(dst)-len(dst) >= size+fields {
		return dst
	}
	return append(make([]byte, 0, len(dst)+size+fields), dst...)
}
