package websocket

import (
	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// An Encoding is a Format in WebSocket frames. There is one value for each format, with
// compression and without: see EncodingOf. It is a Control, too, of clients that need nothing
// of their own.
type Encoding struct {
	format  transport.Format
	deflate bool // for clients that have negotiated it
}

// encodings are all that there are. A key's deflate is whether messages are compressed.
var encodings = func() map[Encoding]*Encoding {
	all := map[Encoding]*Encoding{}
	for _, f := range transport.Formats() {
		for _, e := range []Encoding{{f, false}, {f, true}} {
			all[e] = &e
		}
	}
	return all
}()

// EncodingOf returns the Encoding of a format for clients that have negotiated compression or have
// not.
func EncodingOf(format transport.Format, deflate bool) *Encoding {
	return encodings[Encoding{format, deflate}]
}

// Message implements transport.Encoding.
func (e *Encoding) Message(m broker.Message) []byte {
	framed, isBinary := e.format.AppendMessage(Room(len(m.Channel)+len(m.Data)+len("[] ")), m)
	first := byte(finText)
	if isBinary {
		first = finBinary
	}
	if e.deflate {
		if short, ok := deflate(framed[maxHeader:]); ok {
			return frame(first|rsv1, short)
		}
	}
	return frame(first, framed)
}

// Gap implements transport.Encoding.
func (e *Encoding) Gap(g transport.Gap) []byte { return framed(e.format.AppendGap(Room(0), g)) }

// Members implements transport.PresenceEncoding. Like Presence it returns nothing where the format
// cannot express it.
func (e *Encoding) Members(m transport.Members) []byte {
	return framed(e.format.AppendMembers(Room(0), m))
}

// Presence implements transport.PresenceEncoding.
func (e *Encoding) Presence(p transport.Presence) []byte {
	return framed(e.format.AppendPresence(Room(0), p))
}

// Subscribed is the Answer to a client that continues. A format that cannot express it
// need not where nothing is missing.
func (e *Encoding) Subscribed(s transport.Subscribed) (frame []byte, ok bool) {
	frame = framed(e.format.AppendSubscribed(Room(0), s))
	return frame, frame != nil || s.Recovered
}

// framed returns the text frame of a payload, nil where the format has none.
func framed(room []byte, ok bool) []byte {
	if !ok {
		return nil
	}
	return TextFrame(room)
}

// Ping implements transport.Control.
func (e *Encoding) Ping() []byte { return PingFrame }

// Close implements transport.Control.
func (e *Encoding) Close(reason transport.CloseReason) []byte { return CloseOf(reason) }
