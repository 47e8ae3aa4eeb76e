package websocket

import "encoding/binary"

// A framing follows the frames that a client sends, for what gorilla does not refuse, or
// ends without a word. With permessage-deflate RSV1 is for the first frame of a message
// alone (RFC 7692 section 6), and gorilla lets it pass in all of them. A length of 64 bits
// has 63 of them (RFC 6455 section 5.2), and of half a close code gorilla makes none.
type framing struct {
	head    [14]byte // of the frame that has begun: section 5.2 of RFC 6455
	filled  int
	payload uint64 // bytes that are still to come
}

// follow goes through what has come next, up to the first byte that must not be in a frame.
// It returns how many bytes come before that, and what is wrong with it, nil where there
// is none.
func (f *framing) follow(p []byte) (before int, wrong *CloseError) {
	for i := 0; i < len(p); {
		if f.payload > 0 {
			n := min(f.payload, uint64(len(p)-i))
			f.payload -= n
			i += int(n)
			continue
		}
		switch {
		case f.filled == 0 && p[i]&rsv1 != 0 && !beginsMessage(p[i]):
			return i, errReserved
		case f.filled == 1 && f.head[0] == finClose && p[i]&^maskBit == 1:
			return i, errHalfCode
		case f.filled == 2 && f.head[1]&^maskBit == 127 && p[i]&topBit != 0:
			return i, errLength
		}
		f.head[f.filled] = p[i]
		i++
		if f.filled++; f.filled >= 2 && f.filled == f.headSize() {
			f.payload, f.filled = f.payloadSize(), 0
		}
	}
	return len(p), nil
}

// topBit is that of the first byte of a length.
const topBit = 0x80

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
