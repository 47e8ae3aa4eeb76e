package broker

import "context"

// A Diagnoser is a Broker that can say what about its backend would hurt: its
// version, its settings, what it permits. It is an optional capability, found by
// a type assertion.
type Diagnoser interface {
	// Diagnose asks the backend and returns what it found, the most basic
	// first. What cannot be asked is a finding. The error says that the
	// backend could not be asked at all, as Publish would; findings beside it are
	// what may help.
	Diagnose(ctx context.Context) ([]Finding, error)
}

// A Severity says how much a Finding hurts.
type Severity string

const (
	SeverityOK      Severity = "ok"   // nothing to do
	SeverityWarning Severity = "warn" // a guarantee is weaker, or trouble is near
	SeverityFailure Severity = "bad"  // it does not work like this
)

// A Finding is one thing to know about a backend, in words for people. It contains
// no secrets.
type Finding struct {
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject"`          // a word or two
	Detail   string   `json:"detail"`           // what is
	Advice   string   `json:"advice,omitempty"` // what to do about it
}
