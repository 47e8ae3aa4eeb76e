package ws

import (
	"encoding/binary"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// First bytes of frames that end their message (RFC 6455 section 5.2).
const (
	finText   = 0x81
	finBinary = 0x82
	finClose  = 0x88
	finPing   = 0x89
	finPong   = 0x8A
)

// maxHeader is the longest header of a frame that a server sends: it is not masked.
const maxHeader = 10

// Close codes: those of RFC 6455 section 7.4.1 that this package sends, and our
// own from the range for applications.
const (
	codeGoingAway   = 1001
	codeProtocol    = 1002
	codeInvalidData = 1007
	codePolicy      = 1008
	codeTooBig      = 1009
	codeGap         = 4001
	codeIdle        = 4002
	codeUnrecovered = 4003
	codeSlow        = 4008
	codeExpired     = 4009
	codeLimit       = 4010
	codeForbidden   = 4100 // and from there to 4199 all after which a client must not come back
)

// closes is the close frame of each reason of the hub's.
var closes = map[transport.CloseReason][]byte{
	transport.CloseShutdown: closeFrame(codeGoingAway, "server stopping, reconnect"),
	transport.CloseGap:      closeFrame(codeGap, "messages may be missing, reconnect"),
	transport.CloseIdle:     closeFrame(codeIdle, "no answer to pings, reconnect"),
	transport.CloseSlow:     closeFrame(codeSlow, "reading too slowly, reconnect"),

	transport.CloseUnrecovered: closeFrame(codeUnrecovered, "cannot continue there, reconnect without since"),
	transport.CloseDenied:      closeFrame(codeForbidden, "the channel is no longer allowed"),

	transport.CloseExpired:   closeFrame(codeExpired, "credential expired, reconnect with a new one"),
	transport.CloseLimit:     closeFrame(codeLimit, "too many connections, reconnect later"),
	transport.CloseForbidden: closeFrame(codeForbidden, "no longer allowed"),
}

var pingFrame = []byte{finPing, 0}

// An encoding is a Format in WebSocket frames. It is the Control of its clients, too: they
// need nothing of their own.
type encoding struct {
	format  transport.Format
	deflate bool // for clients that have negotiated it
}

// Message implements transport.Encoding.
func (e *encoding) Message(m broker.Message) []byte {
	room := make([]byte, maxHeader, maxHeader+len(m.Channel)+len(m.Data)+len("[] "))
	framed, isBinary := e.format.AppendMessage(room, m)
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
func (e *encoding) Gap(g transport.Gap) []byte {
	framed, ok := e.format.AppendGap(make([]byte, maxHeader), g)
	if !ok {
		return nil
	}
	return frame(finText, framed)
}

// subscribed is the Answer to a client that continues. A format that cannot express it
// need not where nothing is missing.
func (e *encoding) subscribed(s transport.Subscribed) (frames []byte, ok bool) {
	framed, told := e.format.AppendSubscribed(make([]byte, maxHeader), s)
	if !told {
		return nil, s.Recovered
	}
	return frame(finText, framed), true
}

// Ping implements transport.Control.
func (e *encoding) Ping() []byte { return pingFrame }

// Close implements transport.Control.
func (e *encoding) Close(reason transport.CloseReason) []byte { return closes[reason] }

// frame makes a frame of buf, whose first maxHeader bytes are room for the header.
func frame(first byte, buf []byte) []byte {
	size := len(buf) - maxHeader
	switch {
	case size < 126:
		buf = buf[maxHeader-2:]
		buf[1] = byte(size)
	case size <= 0xFFFF:
		buf = buf[maxHeader-4:]
		buf[1] = 126
		binary.BigEndian.PutUint16(buf[2:], uint16(size))
	default:
		buf[1] = 127
		binary.BigEndian.PutUint64(buf[2:], uint64(size))
	}
	buf[0] = first
	return buf
}

// control makes a control frame; payload has at most 125 bytes.
func control(first byte, payload []byte) []byte {
	return frame(first, append(make([]byte, maxHeader, maxHeader+len(payload)), payload...))
}

// closeFrame makes a close frame. A code of 0 stands for none.
func closeFrame(code int, reason string) []byte {
	if code == 0 {
		return control(finClose, nil)
	}
	return control(finClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}
