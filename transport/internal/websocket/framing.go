package websocket

import "encoding/binary"

// A framing follows the frames that a client sends. With permessage-deflate RSV1 is
// for the first frame of a message alone (RFC 7692 section 6), and gorilla lets it
// pass in all of them.
type framing struct {
	head    [14]byte // of the frame that has begun: section 5.2 of RFC 6455
	filled  int
	payload uint64 // bytes that are still to come
}

// follow goes through what has come next, up to the first frame that has RSV1 and
// must not have it. It returns how many bytes come before that, and whether there is
// none.
func (f *framing) follow(p []byte) (before int, ok bool) {
	for i := 0; i < len(p); {
		if f.payload > 0 {
			n := min(f.payload, uint64(len(p)-i))
			f.payload -= n
			i += int(n)
			continue
		}
		if f.filled == 0 && p[i]&rsv1 != 0 && !beginsMessage(p[i]) {
			return i, false
		}
		f.head[f.filled] = p[i]
		i++
		if f.filled++; f.filled >= 2 && f.filled == f.headSize() {
			f.payload, f.filled = f.payloadSize(), 0
		}
	}
	return len(p), true
}

// beginsMessage reports whether the first byte of a frame is that of a message, or of
// a kind that gorilla refuses.
func beginsMessage(first byte) bool {
	opcode := first & 0x0F
	return opcode != 0 && opcode < finClose&0x0F
}

// headSize returns how many bytes a header has of which two are there.
func (f *framing) headSize() int {
	size := 2
	switch f.head[1] &^ maskBit {
	case 126:
		size += 2
	case 127:
		size += 8
	}
	if f.head[1]&maskBit != 0 {
		size += 4
	}
	return size
}

// payloadSize returns how many bytes follow a header that is complete.
func (f *framing) payloadSize() uint64 {
	switch size := f.head[1] &^ maskBit; size {
	case 126:
		return uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		return binary.BigEndian.Uint64(f.head[2:])
	default:
		return uint64(size)
	}
}
