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

// A Maker is a Diagnoser whose first use makes something on the backend that outlives it and binds others, such as a
// place for a history with the settings of that use. It is an optional capability, found by a type assertion, by
// which an examination leaves nothing behind.
type Maker interface {
	Diagnoser
	// Unmade names what publishing or subscribing now would make on the backend, in some words such as "the stream X";
	// empty for nothing. It makes nothing itself. The error is as that of Diagnose.
	Unmade(context.Context) (string, error)
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
