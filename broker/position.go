package broker

import (
	"cmp"
	"errors"
	"strconv"
	"strings"
)

// A Position is the place of a message in the history of its channel. Messages of
// one epoch are numbered without holes, so a reader knows from two positions
// whether anything is missing between them. A new epoch begins whenever numbers
// could be given twice (the history was deleted, or the backend may have lost the
// end of it). Epochs of a channel only grow: a later one has the higher number.
// Otherwise positions of different epochs say nothing about each other.
//
// The zero Position is that of no message. Epochs are never 0.
type Position struct {
	Epoch uint64
	Seq   uint64
}

// IsZero reports whether p is the position of no message.
func (p Position) IsZero() bool { return p == Position{} }

// Before reports whether p is of the same epoch as q and comes before it.
func (p Position) Before(q Position) bool { return p.Epoch == q.Epoch && p.Seq < q.Seq }

// Next reports whether q follows p with nothing in between. Nothing follows the
// highest number there is.
func (p Position) Next(q Position) bool { return p.Before(q) && q.Seq-p.Seq == 1 }

// Compare orders positions by epoch and number, which is the order in which a
// history keeps them.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Epoch, q.Epoch), cmp.Compare(p.Seq, q.Seq))
}

// String returns p as "epoch-seq" in decimal.
func (p Position) String() string {
	return strconv.FormatUint(p.Epoch, 10) + "-" + strconv.FormatUint(p.Seq, 10)
}

var errPosition = errors.New("broker: not a position")

// ParsePosition is the opposite of String. Its error does not contain text.
func ParsePosition(text string) (Position, error) {
	epoch, seq, ok := strings.Cut(text, "-")
	e, err1 := strconv.ParseUint(epoch, 10, 64)
	s, err2 := strconv.ParseUint(seq, 10, 64)
	if !ok || err1 != nil || err2 != nil || e == 0 {
		return Position{}, errPosition
	}
	return Position{e, s}, nil
}
