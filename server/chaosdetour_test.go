package server_test

import (
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A detour is the way of a client, in a failover, from a node that reads one master to a node
// that reads the other, and on from there. The latter does not know the client's cursor, says
// so, and gives it a place before. What lies between may come again:
//   - Where the cursor is of the epoch of the new master, that is once the client has left with
//     a place of the epoch before. Then what it had heard of the new epoch is in no cursor any
//     more, and comes again behind what tells of the new epoch. In the stay itself the node has
//     the cursor, and leaves out what is before it in its epoch; of epochs between both it knows
//     nothing.
//   - Where both are of one epoch, the cursor is of a message that the new master has not got,
//     and the node's link to the old one may still bring it.
//
// Whatever else comes twice is a fault.
type detour struct {
	place broker.Position // the newest that the client was given
	left  broker.Position // up to which it had heard when it was taken back
	from  uint64          // the epoch of the cursor with which it was
	gone  bool            // it has left the node that took it back
	told  bool            // and was told of a gap, or that it is not recovered
	below uint64          // it was told so by that node: what is of earlier epochs may come again
}

// join notes a new connection, with a place or without.
func (d *detour) join(at broker.Position) {
	d.place, d.gone = at, !d.left.IsZero()
}

// answer notes which place the client is given for its own.
func (d *detour) answer(at broker.Position, recovered bool) {
	switch {
	case !recovered && at.Compare(d.place) < 0:
		d.gone = at.Epoch == d.place.Epoch
		d.told, d.from, d.below = d.gone, d.place.Epoch, 0
		if d.left.Compare(d.place) < 0 {
			d.left = d.place
		}
	case !recovered:
		d.tell()
	}
	d.place = at
}

// tell notes that the client was told of a gap.
func (d *detour) tell() {
	if d.gone {
		d.told = true
	} else {
		d.below = d.from
	}
}

// hear notes a message, and reports whether it may be one that the client has heard before
// its detour.
func (d *detour) hear(at broker.Position) (again bool) {
	if at.IsZero() {
		return false
	}
	again = (d.told || at.Epoch < d.below) && at.Compare(d.left) <= 0 && at.Compare(d.place) > 0
	if d.place = at; at.Compare(d.left) > 0 {
		d.left, d.gone, d.told, d.below = broker.Position{}, false, false, 0
	}
	return again
}

// position is what a cursor of the channel stands for, zero where it names no message.
func (c *checker) position(cursor string) broker.Position {
	at, err := transport.ParseCursor(c.topic, cursor)
	if err != nil || at == transport.Outset {
		return broker.Position{}
	}
	return at
}

// The checker excuses what comes twice behind a detour, and nothing else.
func TestChaosCheckerOfDetours(t *testing.T) {
	const gap = "gap"
	type cursor struct{ epoch, seq uint64 }
	type comes struct { // back with a cursor
		with, given cursor
		recovered   bool
	}
	type heard struct {
		text string
		at   cursor
	}
	old, now := func(seq uint64) cursor { return cursor{7, seq} }, func(seq uint64) cursor { return cursor{8, seq} }
	first := []any{heard{"0 1", old(4)}, heard{"0 2", now(0)}, heard{"0 3", now(1)}}
	back := comes{now(1), old(4), false}
	onward := comes{old(5), old(5), true}
	other := heard{"1 1", old(5)}
	later := heard{"0 4", cursor{9, 0}}
	fromLater := comes{later.at, old(4), false}
	again := []any{heard{"0 2", now(0)}, heard{"0 3", now(1)}, heard{"0 4", now(2)}}
	for _, c := range []struct {
		name string
		then [][]any
		errs int
	}{
		{"told by a gap", [][]any{{back, other, onward, gap}, again}, 0},
		{"told as it comes back", [][]any{{back, other, comes{old(5), old(5), false}}, again}, 0},
		{"in two connections", [][]any{{back, onward, gap}, again[:1], {comes{now(0), now(0), true}}, again[1:]}, 0},
		{"two detours", [][]any{{back, onward, gap}, again[:1], {comes{now(0), old(5), false}, onward, gap}, again}, 0},
		{"untold", [][]any{{back, other, onward}, again}, 2},
		{"told before it went on", [][]any{{back, other, gap, onward}, again}, 2},
		{"in the stay that had the cursor", [][]any{{back, other, gap}, again}, 2},
		{"of an epoch between, in the stay that had the cursor", [][]any{{later, fromLater, gap}, again[:2], {later}}, 1},
		{"of an epoch between, untold", [][]any{{later, fromLater}, again[:2]}, 2},
		{"of an epoch between, onward", [][]any{{later, fromLater, gap}, again[:1], {comes{now(0), now(0), true}}, again[1:2]}, 0},
		{"without a detour", [][]any{{comes{now(1), now(1), true}, gap}, again}, 2},
		{"taken back in its epoch", [][]any{{comes{now(1), now(0), false}}, again[1:]}, 0},
		{"twice in its epoch", [][]any{{comes{now(1), now(0), false}}, again[1:], again[1:]}, 2},
		{"farther back than where it was taken", [][]any{{comes{now(1), now(0), false}}, again}, 1},
		{"not recovered at its place", [][]any{{comes{now(1), now(1), false}}, again}, 2},
		{"three times", [][]any{{back, other, onward, gap}, again, again}, 3},
		{"out of order", [][]any{{back, onward, gap}, {again[1], again[0]}}, 1},
		{"of the old epoch", [][]any{{back, onward, gap, heard{"0 1", old(5)}}}, 1},
		{"beyond what it had heard", [][]any{{back, onward, gap, heard{"0 3", now(2)}}}, 1},
	} {
		ch := newChecker(c.name, func(int, int) bool { return false })
		ch.topic = "c"
		text := func(p cursor) string { return transport.Cursor("c", broker.Position{Epoch: p.epoch, Seq: p.seq}) }
		ch.join("")
		for _, events := range append([][]any{first}, c.then...) {
			for _, e := range events {
				switch e := e.(type) {
				case string:
					ch.gap("new-epoch")
				case heard:
					ch.hear(e.text, text(e.at))
				case comes:
					ch.join(text(e.with))
					ch.answered(text(e.given), e.recovered)
				}
			}
		}
		if _, _, errs := ch.report(); len(errs) != c.errs {
			t.Errorf("%s: %q, want %d errors", c.name, errs, c.errs)
		}
	}
}
