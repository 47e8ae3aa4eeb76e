package cmd

import (
	"fmt"
	"strings"

	"github.com/pregon/pregon/transport"
)

// printMessage prints a message.
func (s *subscription) printMessage(f frame) error {
	if s.Format == "json" {
		return s.print(f.raw)
	}
	text, err := f.message()
	if err != nil {
		return err
	}
	if s.Format == "text" {
		text = "[" + f.Channel + "] " + text
	}
	return s.print(text)
}

// printEvent prints what is no message: where the output is JSON for programs, which read it there, and
// otherwise for people, beside the output.
func (s *subscription) printEvent(f frame) error {
	if s.Format == "json" {
		return s.print(f.raw)
	}
	switch f.Type {
	case "gap":
		fmt.Fprintln(s.out.stderr, "pregon: messages may be missing here:", shown(s.out.stderr, f.raw))
	case "members", "presence":
		s.tellMembers(f)
	}
	return nil
}

func (s *subscription) print(text string) error {
	if _, err := fmt.Fprintln(s.out.stdout, shown(s.out.stdout, text)); err != nil {
		return fmt.Errorf("print: %w", refusal{err})
	}
	return nil
}

// tellMembers tells people who is in a channel, has come, or has left.
func (s *subscription) tellMembers(f frame) {
	tell := func(format string, args ...any) {
		fmt.Fprintln(s.out.stderr, "pregon:", shown(s.out.stderr, fmt.Sprintf("[%s] %s", f.Channel, fmt.Sprintf(format, args...))))
	}
	switch {
	case f.Type == "members" && f.Count == 0:
		tell("nobody is there")
	case f.Type == "members":
		tell("%d there: %s", f.Count, strings.Join(subjects(f.Members), ", "))
	case f.Count > 0:
		tell("%d there", f.Count)
	}
	if len(f.Joined) > 0 {
		tell("joined: %s", strings.Join(subjects(f.Joined), ", "))
	}
	if len(f.Left) > 0 {
		tell("left: %s", strings.Join(f.Left, ", "))
	}
}

// subjects returns the names of members.
func subjects(members []transport.Member) []string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = m.Subject
	}
	return names
}
