package websocket

import "encoding/binary"

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

// PingFrame is a ping. It is not to be changed.
var PingFrame = []byte{finPing, 0}

// Room returns an empty text for TextFrame to frame, to which so many bytes can be appended
// without a further allocation.
func Room(size int) []byte { return make([]byte, maxHeader, maxHeader+size) }

// TextFrame makes a text frame of what was appended to a Room. It is made in place.
func TextFrame(room []byte) []byte { return frame(finText, room) }

// AppendTextFrame appends a text frame with a payload to dst.
func AppendTextFrame(dst, payload []byte) []byte {
	switch size := len(payload); {
	case size < 126:
		dst = append(dst, finText, byte(size))
	case size <= 0xFFFF:
		dst = binary.BigEndian.AppendUint16(append(dst, finText, 126), uint16(size))
	default:
		dst = binary.BigEndian.AppendUint64(append(dst, finText, 127), uint64(size))
	}
	return append(dst, payload...)
}

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
	return frame(first, append(Room(len(payload)), payload...))
}

// CloseFrame makes a close frame. A code of 0 stands for none; reason has at most 123 bytes.
func CloseFrame(code int, reason string) []byte {
	if code == 0 {
		return control(finClose, nil)
	}
	return control(finClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}
