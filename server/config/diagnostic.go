package config

import (
	"fmt"
	"strings"
)

// maxDiagnostics is how many faults of a file are told.
const maxDiagnostics = 50

// A Diagnostic is something to be said about a place in a file. It quotes no secret.
type Diagnostic struct {
	Line, Column int // from 1; both are 0 where it is about the whole file
	Text         string
}

// String returns the place and the text.
func (d Diagnostic) String() string {
	if d.Line == 0 {
		return d.Text
	}
	return fmt.Sprintf("line %d, column %d: %s", d.Line, d.Column, d.Text)
}

// An Error says all that is wrong with a file.
type Error struct {
	Path   string
	Faults []Diagnostic // in the order of the file; at least one
}

// Error returns one line, with all faults.
func (e *Error) Error() string { return strings.Join(e.Lines(), "; ") }

// Lines returns a line for each fault, which names the file.
func (e *Error) Lines() []string {
	lines := make([]string, 0, len(e.Faults))
	for i, f := range e.Faults {
		if i == maxDiagnostics {
			return append(lines, fmt.Sprintf("%s: and %d more", e.Path, len(e.Faults)-i))
		}
		lines = append(lines, e.Path+": "+f.String())
	}
	return lines
}
