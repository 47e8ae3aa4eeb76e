package transport

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/pregon/pregon/broker"
)

// A cursor is what clients are given for a position: base64 of a checksum of the
// channel's name, so that a cursor of one channel is not taken for one of another,
// and of the epoch and the number. To clients it is opaque.
const cursorBytes = 4 + 8 + 8

var (
	// ErrCursor means that a text is no cursor at all.
	ErrCursor = errors.New("transport: not a cursor")
	// ErrForeignCursor means that a cursor is of another channel.
	ErrForeignCursor = errors.New("transport: a cursor of another channel")
)

// Cursor returns the cursor of a position in channel, and the empty string for the
// zero position. It has only letters, digits, - and _.
func Cursor(channel string, p broker.Position) string {
	if p.IsZero() {
		return ""
	}
	var b [cursorBytes]byte
	binary.BigEndian.PutUint32(b[:], channelSum(channel))
	binary.BigEndian.PutUint64(b[4:], p.Epoch)
	binary.BigEndian.PutUint64(b[12:], p.Seq)
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// ParseCursor returns the position that a cursor of channel stands for, or
// ErrCursor or ErrForeignCursor.
func ParseCursor(channel, cursor string) (broker.Position, error) {
	if len(cursor) != base64.RawURLEncoding.EncodedLen(cursorBytes) {
		return broker.Position{}, ErrCursor
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) != cursorBytes { // the package skips line ends
		return broker.Position{}, ErrCursor
	}
	p := broker.Position{Epoch: binary.BigEndian.Uint64(b[4:]), Seq: binary.BigEndian.Uint64(b[12:])}
	if p.Epoch == 0 {
		return broker.Position{}, ErrCursor
	}
	if binary.BigEndian.Uint32(b) != channelSum(channel) {
		return broker.Position{}, ErrForeignCursor
	}
	return p, nil
}

func channelSum(channel string) uint32 { return crc32.ChecksumIEEE([]byte(channel)) }

// Outset is the position of a client that began in a channel which had no message:
// before the first. No message has it.
var Outset = broker.Position{Epoch: math.MaxUint64, Seq: math.MaxUint64}
