package token

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrInvalid matches every error that says that a token is not valid. It is all that a caller
	// is told; see [InvalidError].
	ErrInvalid = errors.New("token: invalid")

	// ErrPrivateKey means that a private key was given where a public one belongs. Who can
	// read the configuration of a server must not be able to sign tokens.
	ErrPrivateKey = errors.New("a private key, where a public one belongs")

	// ErrWeakKey means that a key or secret is too short to be safe.
	ErrWeakKey = errors.New("too weak")

	// ErrKey means that a key cannot be read, or is of no use for signing tokens.
	ErrKey = errors.New("no usable key")
)

// An InvalidError says why a token is not valid. It matches [ErrInvalid].
//
// The reason is for the log of the operator and not for the caller. It has nothing of the token.
type InvalidError struct {
	Reason string // a few words, such as "expired"

	// Line is the line of the issuer whose key signed the token, and 0 where none
	// is known to have signed it.
	Line int

	signed bool // by a key of an issuer
}

// Error implements error.
func (e *InvalidError) Error() string { return ErrInvalid.Error() + ": " + e.Reason }

// Is reports whether target is [ErrInvalid].
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Reasons of an [InvalidError] that an operator may have to act on, each in another way. The others are about what no
// issuer should make, such as JSON that is none.
const (
	Expired        = "expired"
	NotYet         = "not valid yet"
	TooLong        = "exp is too far away"
	WrongAudience  = "wrong audience"
	WrongSignature = "wrong signature"
	NoIssuer       = "no issuer has such a key"
	UnknownKey     = "unknown key" // to the issuer's JWKS
)

// Reasons returns those that have a name here.
func Reasons() []string {
	return []string{Expired, NotYet, TooLong, WrongAudience, WrongSignature, NoIssuer, UnknownKey}
}

func invalid(reason string) *InvalidError { return &InvalidError{Reason: reason} }

// An UnavailableError means that it cannot be said now whether a token is valid: its key is not
// known, and could not be fetched. It says nothing about the token.
type UnavailableError struct {
	RetryAfter time.Duration // after which it may be worth while to try again
	Err        error         // why, for the log
}

// Error implements error.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("token: the keys of the issuer are not available: %v", e.Err)
}

// Unwrap returns why.
func (e *UnavailableError) Unwrap() error { return e.Err }

// An IssuerError says what is wrong with an [Issuer]. It contains nothing of keys, secrets or URLs.
type IssuerError struct {
	Line int   // of the Issuer
	Err  error // may match ErrPrivateKey, ErrWeakKey or ErrKey
}

// Error implements error.
func (e *IssuerError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("token: issuer: %v", e.Err)
	}
	return fmt.Sprintf("token: issuer in line %d: %v", e.Line, e.Err)
}

// Unwrap returns what is wrong.
func (e *IssuerError) Unwrap() error { return e.Err }
