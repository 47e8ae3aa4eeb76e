package server_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A said is a line that a session that changes is sent.
type said struct {
	What     string // "open", "resume", "message", "gap", "shut", "wrong", "ping", "end" or "bye"
	Channel  string `json:",omitempty"`
	Text     string `json:",omitempty"`
	At, Prev broker.Position
	Stay     int     `json:",omitempty"` // which one of the session's in the channel, from 1
	Owed     numbers `json:",omitempty"` // what comes behind these must be heard
}

func (s said) line() []byte {
	b, _ := json.Marshal(s)
	return append(b, '\n')
}

// spoken says everything as a line.
type spoken struct{}

func (spoken) Message(m broker.Message) []byte {
	return said{What: "message", Channel: m.Channel, Text: string(m.Data), At: m.Position, Prev: m.Prev}.line()
}
func (spoken) Gap(g transport.Gap) []byte {
	return said{What: "gap", Channel: g.Channel, Text: string(g.Reason)}.line()
}
func (spoken) Ping() []byte { return said{What: "ping"}.line() }
func (spoken) Close(reason transport.CloseReason) []byte {
	return said{What: "end", Text: fmt.Sprint(reason)}.line()
}

// An attendance checks what a session that changes is sent.
type attendance struct {
	mu       sync.Mutex
	channels map[string]*stayIn
	errs     []string
	stays    int // begun
	unopened int // and those that have ended before
	messages int
}

// A stayIn is what a session has heard in a channel.
type stayIn struct {
	open        bool
	stay        int             // the newest that has begun or ended
	at          broker.Position // of the newest message heard, or behind which the stay began
	first, last numbers         // heard in this stay
}

func newAttendance() *attendance { return &attendance{channels: map[string]*stayIn{}} }

// read checks what comes until the session says "bye" or the connection ends.
func (h *attendance) read(from io.Reader) {
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return
		}
		var s said
		if err := json.Unmarshal(line, &s); err != nil {
			h.failf("heard %q: %v", line, err)
			return
		}
		if s.What == "bye" {
			return
		}
		h.hear(s)
	}
}

func (h *attendance) hear(s said) {
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.channels[s.Channel]
	if in == nil {
		in = &stayIn{}
		h.channels[s.Channel] = in
	}
	switch {
	case s.What == "ping":
	case s.What == "open" && !in.open && s.Stay > in.stay:
		h.stays++
		*in = stayIn{open: true, stay: s.Stay, at: s.At, first: numbers{}, last: numbers{}}
	case s.What == "resume" && in.open && s.Stay == in.stay && s.At == in.at: // after it was cut off
	case s.What == "message" && in.open:
		h.messages++
		h.message(in, s)
	case s.What == "shut" && !in.open && s.Stay > in.stay: // it has ended before its history was read
		in.stay = s.Stay
		h.unopened++
	case s.What == "shut" && in.open && s.Stay == in.stay:
		in.open = false
		for publisher, n := range in.first {
			if n > s.Owed[publisher]+1 {
				h.fail("%s begins with number %d of publisher %d, and is owed what comes behind %d", s.Channel, n, publisher, s.Owed[publisher])
			}
		}
	default:
		h.fail("%s: %s %d %s; the stay %d is open: %v", s.Channel, s.What, s.Stay, s.Text, in.stay, in.open)
	}
}

// message checks that a message is the next of its channel, and of its publisher.
func (h *attendance) message(in *stayIn, s said) {
	publisher, n, err := parseSaid(s.Text)
	if err != nil || channelName(publisher/eachChannel) != s.Channel {
		h.fail("%s: heard %q, which nobody published there", s.Channel, s.Text)
		return
	}
	if next := (broker.Message{Position: s.At, Prev: s.Prev}); !next.Follows(in.at) && !isFirst(s.At, in.at) {
		h.fail("%s: %q at %v does not follow %v", s.Channel, s.Text, s.At, in.at)
	}
	in.at = s.At
	if _, heard := in.first[publisher]; !heard {
		in.first[publisher] = n
	} else if n != in.last[publisher]+1 {
		h.fail("%s: %q comes behind %d", s.Channel, s.Text, in.last[publisher])
	}
	in.last[publisher] = n
}

// isFirst reports whether at is the first position of an epoch and before is the place
// ahead of it.
func isFirst(at, before broker.Position) bool {
	return at.Seq == 0 && before == broker.Position{Epoch: at.Epoch - 1, Seq: math.MaxUint64}
}

// last returns where a session is in a channel, zero where it has never been there.
func (h *attendance) last(channel string) broker.Position {
	h.mu.Lock()
	defer h.mu.Unlock()
	if in := h.channels[channel]; in != nil {
		return in.at
	}
	return broker.Position{}
}

// upTo reports whether all open channels have been heard up to these positions.
func (h *attendance) upTo(newest map[string]broker.Position) bool { return h.state(newest) == "" }

// state says which open channels have not been heard up to these positions.
func (h *attendance) state(newest map[string]broker.Position) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var behind strings.Builder
	for name, in := range h.channels {
		if in.open && in.at.Compare(newest[name]) < 0 {
			fmt.Fprintf(&behind, "%s up to %v of %v; ", name, in.at, newest[name])
		}
	}
	return behind.String()
}

func (h *attendance) failf(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fail(format, args...)
}

func (h *attendance) fail(format string, args ...any) {
	h.errs = append(h.errs, fmt.Sprintf(format, args...))
}

// The check finds what it is there for, and nothing else.
func TestChaosCheckerOfStays(t *testing.T) {
	at := func(seq uint64) broker.Position { return broker.Position{Epoch: 7, Seq: seq} }
	open := func(stay int, seq uint64) said { return said{What: "open", Channel: "c0", Stay: stay, At: at(seq)} }
	say := func(seq uint64, text string) said {
		return said{What: "message", Channel: "c0", Text: text, At: at(seq), Prev: at(seq - 1)}
	}
	shut := func(stay, owed int) said {
		return said{What: "shut", Channel: "c0", Stay: stay, Owed: numbers{0: owed, 1: owed}}
	}
	resume := func(stay int, seq uint64) said {
		return said{What: "resume", Channel: "c0", Stay: stay, At: at(seq)}
	}
	before := said{What: "open", Channel: "c0", Stay: 1, At: broker.Position{Epoch: 6, Seq: math.MaxUint64}}
	for _, c := range []struct {
		name  string
		heard []said
		errs  int
	}{
		{"all", []said{open(1, 3), say(4, "0 8"), say(5, "1 2"), say(6, "0 9"), shut(1, 7)}, 0},
		{"from the beginning", []said{before, say(0, "0 0"), say(1, "0 1"), shut(1, 0)}, 0},
		{"two stays", []said{open(1, 3), say(4, "0 8"), shut(1, 7), open(2, 9), say(10, "0 14"), shut(2, 13)}, 0},
		{"again, as it asked for it", []said{open(1, 3), say(4, "0 8"), shut(1, 7), open(2, 3), say(4, "0 8"), shut(2, 8)}, 0},
		{"cut off", []said{open(1, 3), say(4, "0 8"), resume(1, 4), say(5, "0 9"), shut(1, 7)}, 0},
		{"cut off, and comes back too early", []said{open(1, 3), say(4, "0 8"), resume(1, 3), say(5, "0 9"), shut(1, 7)}, 1},
		{"cut off, and comes back too late", []said{open(1, 3), say(4, "0 8"), resume(1, 5), say(6, "0 10"), shut(1, 7)}, 3},
		{"nothing", []said{open(1, 3), shut(1, 7)}, 0},
		{"ended before it began", []said{shut(1, 7), open(2, 3), shut(2, 7)}, 0},
		{"earlier than owed", []said{open(1, 3), say(4, "0 8"), shut(1, 12)}, 0},
		{"missing", []said{open(1, 3), say(4, "0 8"), say(6, "0 9"), shut(1, 7)}, 1},
		{"the first is missing", []said{open(1, 3), say(5, "0 8"), shut(1, 7)}, 1},
		{"the first of all is missing", []said{before, say(1, "0 1"), shut(1, 7)}, 1},
		{"missing behind a place that is too late", []said{open(1, 4), say(5, "0 9"), shut(1, 7)}, 1},
		{"twice", []said{open(1, 3), say(4, "0 8"), say(4, "0 8"), shut(1, 7)}, 2},
		{"another in its place", []said{open(1, 3), say(4, "0 8"), say(5, "0 10"), shut(1, 7)}, 1},
		{"of another channel", []said{open(1, 3), say(4, "2 8"), shut(1, 7)}, 1},
		{"before a stay", []said{say(3, "0 7"), open(1, 3), shut(1, 7)}, 1},
		{"after a stay", []said{open(1, 3), shut(1, 7), say(4, "0 8")}, 1},
		{"opened twice", []said{open(1, 3), open(1, 3), shut(1, 7)}, 1},
		{"ended twice", []said{open(1, 3), shut(1, 7), shut(1, 7)}, 1},
		{"began after it has ended", []said{shut(1, 7), open(1, 3)}, 1},
		{"a gap", []said{open(1, 3), {What: "gap", Channel: "c0"}, shut(1, 7)}, 1},
		{"closed", []said{{What: "end"}}, 1},
		{"not recovered", []said{{What: "wrong"}}, 1},
	} {
		h := newAttendance()
		for _, s := range c.heard {
			h.hear(s)
		}
		if len(h.errs) != c.errs {
			t.Errorf("%s: %q, want %d errors", c.name, h.errs, c.errs)
		}
	}
}
