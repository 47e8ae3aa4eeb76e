package brokertest

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pregon/pregon/broker"
)

// numbered is the text of message n, from 1, of a stream: what one goroutine
// publishes to one channel.
func numbered(stream string, n int) string { return stream + " " + strconv.Itoa(n) }

// A tally follows the numbered messages that one Feed delivers: the numbers of a
// stream rise, none comes twice, and none is missing but where a gap says so.
type tally struct {
	streams map[string]position
	gaps    map[string]int  // gaps reported, by channel
	unsure  map[string]bool // texts whose publication may have failed
	heard   int             // messages
}

type position struct{ number, gaps int }

func newTally() *tally {
	return &tally{streams: map[string]position{}, gaps: map[string]int{}}
}

// gap counts a gap.
func (t *tally) gap(g *broker.GapError) {
	for _, c := range g.Channels {
		t.gaps[c]++
	}
}

// message counts m and says what is wrong with its place.
func (t *tally) message(m broker.Message) error {
	text := string(m.Data)
	stream, digits, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return fmt.Errorf("heard %.40q, which nobody published", text)
	}
	t.heard++
	last := t.streams[stream]
	t.streams[stream] = position{n, t.gaps[m.Channel]}
	if n <= last.number {
		return fmt.Errorf("heard %q after %q: doubled or out of order", text, numbered(stream, last.number))
	}
	if t.gaps[m.Channel] > last.gaps {
		return nil
	}
	for i := last.number + 1; i < n; i++ {
		if lost := numbered(stream, i); !t.unsure[lost] {
			return fmt.Errorf("heard %q, but not %q before it, and no gap between", text, lost)
		}
	}
	return nil
}

// event counts what Next returned.
func (t *tally) event(e event) error {
	if e.err == nil {
		return t.message(e.m)
	}
	g, err := asGap(e.err)
	if err == nil {
		t.gap(g)
	}
	return err
}

// asGap returns the gap that err is, or what is wrong with err.
func asGap(err error) (*broker.GapError, error) {
	var gap *broker.GapError
	switch {
	case !errors.As(err, &gap):
		return nil, fmt.Errorf("calling Next: %w", err)
	case len(gap.Channels) == 0:
		return nil, errors.New("a gap names no channels")
	case gap.Reason == "":
		return nil, errors.New("a gap has no reason")
	}
	return gap, nil
}
