package broker

import (
	"cmp"
	"errors"
	"math"
	"strconv"
	"strings"
)

// A Position is the place of a message in the history of its channel. The numbers of
// one epoch grow in the order in which messages are delivered. They may begin
// anywhere, and a backend that numbers many channels together leaves some out: whether
// anything is missing between two messages is what [Message.Follows] says.
//
// A new epoch begins whenever numbers could be given twice (the history was deleted and is numbered
// anew, or the backend may have lost the end of it).
// Epochs of a channel only grow: a later one has the higher number. Otherwise positions
// of different epochs say nothing about each other.
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

// PrevUnknown is the [Message].Prev of a message of which the driver does not know any
// more what came before it. It is the position of no message.
var PrevUnknown = Position{Seq: math.MaxUint64}

// Next reports whether q has the number next to p, so that no message can be between
// them. Nothing follows the highest number there is.
func (p Position) Next(q Position) bool { return p.Before(q) && q.Seq-p.Seq == 1 }

// Previous returns the [Message].Prev of the message at p for a driver that numbers each
// channel without holes, from 0: then it need not be remembered.
func (p Position) Previous() Position {
	if p.Seq == 0 {
		return Position{}
	}
	return Position{p.Epoch, p.Seq - 1}
}

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
