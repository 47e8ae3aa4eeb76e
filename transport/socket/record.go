package socket

import (
	"encoding/binary"
	"io"
)

// recordHeader is how long the header of a record of TLS is: its first byte is the type, its last two are the
// length of what follows (RFC 8446, section 5.1).
const recordHeader = 5

// typeHandshake is the type of a record with a message of the handshake.
const typeHandshake = 22

// helloPiece is how many bytes of the client's first message TLS is given at a time. The message has some 1,700, and the
// buffer into which TLS reads a record stays as large as it ever was, for as long as the connection: with pieces of
// this size it is the smallest that it can be. A message of the handshake may come in as many records as one likes
// (RFC 8446, section 5.1), as long as none is encrypted, which the first never is.
const helloPiece = 48

// A record is one that TLS reads, or a piece of one that it takes for one.
type record struct {
	header [recordHeader]byte
	known  int  // bytes of header that have come
	given  int  // bytes of header that TLS has
	piece  int  // bytes behind it that it is owed
	left   int  // bytes that are owed behind the piece
	later  bool // it is not the connection's first
}

// begin reads the header, unless it is known.
func (r *record) begin(from io.Reader) error {
	for r.known < recordHeader {
		n, err := from.Read(r.header[r.known:])
		if r.known += n; r.known == recordHeader {
			r.left = int(binary.BigEndian.Uint16(r.header[3:]))
			r.next()
		} else if err != nil {
			return err
		}
	}
	return nil
}

// next goes on to the next piece.
func (r *record) next() {
	r.piece = r.left
	if !r.later && r.header[0] == typeHandshake {
		r.piece = min(r.left, helloPiece)
	}
	r.left -= r.piece
	r.given = 0
	binary.BigEndian.PutUint16(r.header[3:], uint16(r.piece))
}

// read reads into p what is left of the header, or behind it, and never more.
func (r *record) read(from io.Reader, p []byte) (n int, err error) {
	if r.given < recordHeader {
		n = copy(p, r.header[r.given:])
		r.given += n
	} else {
		n, err = from.Read(p[:min(len(p), r.piece)])
		r.piece -= n
	}
	switch {
	case r.given < recordHeader || r.piece > 0:
	case r.left > 0:
		r.next()
	default:
		r.known, r.later = 0, true
	}
	return n, err
}
