package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// A trace is what has happened to a client lately, for the next failure. Its checker's lock
// guards it.
type trace struct {
	steps []step
	node  string              // which the client asked last
	known func(string) string // the cursor of a text that was accepted, empty where it is not known; nil for none
}

// A step is a message with its position, zero where the client was not told it, or
// something else that happened.
type step struct {
	what    string
	at      broker.Position
	message bool
}

// note keeps what happened.
func (t *trace) note(format string, args ...any) { t.keep(step{what: fmt.Sprintf(format, args...)}) }

func (t *trace) noteMessage(text string, at broker.Position) { t.keep(step{text, at, true}) }

func (t *trace) keep(s step) {
	const most = 25
	if t.steps = append(t.steps, s); len(t.steps) > most {
		t.steps = t.steps[1:]
	}
}

// before says what happened since it was said last.
func (c *checker) before() string {
	if len(c.steps) == 0 {
		return ""
	}
	words := make([]string, len(c.steps))
	for i, s := range c.steps {
		words[i] = s.what
		if s.message {
			words[i] += c.place(s.what, s.at)
		}
	}
	c.steps = nil
	return " (before: " + strings.Join(words, ", ") + ")"
}

// place says where a message is, as far as the client or the message's publisher knows.
func (c *checker) place(text string, at broker.Position) string {
	if at.IsZero() && c.known != nil {
		at = c.position(c.known(text))
	}
	if at.IsZero() {
		return ""
	}
	return fmt.Sprint(" at ", at)
}

// A failure says where the messages are that a client of the text format has heard and missed.
func TestChaosTrace(t *testing.T) {
	cursors := map[string]string{}
	for n := range uint64(4) {
		cursors[textOf(0, int(n))] = transport.Cursor("c", broker.Position{Epoch: 7, Seq: n})
	}
	ch := newChecker("text", func(int, int) bool { return true })
	ch.topic, ch.known = "c", func(text string) string { return cursors[text] }
	ch.hear("0 1", "")
	ch.hear("0 3", "")
	_, _, errs := ch.report()
	if len(errs) != 1 || !strings.HasSuffix(errs[0], "2 at 7-2 of publisher 0 is missing between 1 and 3, and no gap was told (before: 0 1 at 7-1)") {
		t.Errorf("said %q", errs)
	}
}
