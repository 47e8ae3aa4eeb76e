package sse

import "strconv"

// Over HTTP/1.1 a stream is sent in chunks (RFC 9112, section 7.1), each of which
// is whole events. The last chunk, which has no bytes and says that the answer is
// complete, is never sent: see the package's documentation.
const (
	maxChunkHead = len("ffffffff\r\n")
	chunkEnd     = "\r\n"
)

// chunk makes a chunk of buf, whose first maxChunkHead bytes are room for the size.
func chunk(buf []byte) []byte {
	var digits [maxChunkHead]byte
	head := append(strconv.AppendUint(digits[:0], uint64(len(buf)-maxChunkHead), 16), "\r\n"...)
	start := maxChunkHead - len(head)
	copy(buf[start:], head)
	return append(buf, chunkEnd...)[start:]
}

// chunkOf is chunk for a block that has no room for the size.
func chunkOf(block []byte) []byte {
	return chunk(append(make([]byte, maxChunkHead), block...))
}
