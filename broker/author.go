package broker

import "unicode/utf8"

// Longest values of an Author, in bytes.
const (
	MaxSubject = 255
	MaxSession = 64
)

// An Author is who published a message. The server makes it from what it knows of a caller,
// and never from what the caller says. It is immutable once it is in a Message, and its members
// are valid UTF-8. The names in JSON are those that clients read.
type Author struct {
	Subject string `json:"sub,omitempty"`     // of the caller's token, at most MaxSubject bytes
	Session string `json:"session,omitempty"` // that it was published over, at most MaxSession bytes
}

// normalized returns a where it names somebody, and otherwise nil: where both members are
// empty, or one is not possible: no author is better than a wrong one.
func (a *Author) normalized() *Author {
	if a == nil || *a == (Author{}) || len(a.Subject) > MaxSubject || len(a.Session) > MaxSession ||
		!utf8.ValidString(a.Subject) || !utf8.ValidString(a.Session) {
		return nil
	}
	return a
}
