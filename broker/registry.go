package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// ErrURL is wrapped by every error that says a broker URL is not well formed:
// an unknown scheme, an unknown parameter, a bad port. Nothing was contacted.
var ErrURL = errors.New("broker: bad URL")

// A Driver opens a Broker from the URL that a user wrote. It returns once the
// settings are known to be sound and does not wait for the backend. Its errors
// name the part of the URL that is wrong, wrap ErrURL, and never contain a
// password.
type Driver func(ctx context.Context, u *url.URL) (Broker, error)

var registry = struct {
	sync.RWMutex
	drivers map[string]Driver
}{drivers: map[string]Driver{}}

// Register makes a driver known under a URL scheme. Packages of drivers call it
// from init, so that a blank import is all a program needs. It panics where the
// scheme is empty or taken: that is a mistake in the program's imports.
func Register(scheme string, d Driver) {
	registry.Lock()
	defer registry.Unlock()
	if scheme == "" || d == nil {
		panic("broker: Register without a scheme or a driver")
	}
	if _, taken := registry.drivers[scheme]; taken {
		panic("broker: Register called twice for " + scheme)
	}
	registry.drivers[scheme] = d
}

// Drivers returns the registered URL schemes in alphabetical order.
func Drivers() []string {
	registry.RLock()
	defer registry.RUnlock()
	return slices.Sorted(maps.Keys(registry.drivers))
}

// Open opens the broker that a URL names: its scheme chooses the driver, and
// what else it may contain is the driver's to say. The caller closes the result.
func Open(ctx context.Context, rawURL string) (Broker, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %s", ErrURL, parseReason(err))
	}
	if u.Scheme == "" {
		return nil, fmt.Errorf("%w: no scheme; write one of %s", ErrURL, known())
	}
	registry.RLock()
	d, ok := registry.drivers[u.Scheme]
	registry.RUnlock()
	if !ok {
		return nil, fmt.Errorf("%w: unknown scheme %q; known are %s", ErrURL, u.Scheme, known())
	}
	return d(ctx, u)
}

// CheckParams returns an error that names the first query parameter of u that
// is not among known, or that is given more than once. Drivers call it.
//
// An @ in the query is an error that names nothing: the question mark before it
// is most likely part of a password, and what follows is the rest of it.
func CheckParams(u *url.URL, known ...string) error {
	if strings.Contains(u.RawQuery, "@") {
		return fmt.Errorf("%w: %s: an @ in the query; in a password write %%3F for ?, and in a parameter %%40 for @", ErrURL, u.Scheme)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: %s: the query is not well formed", ErrURL, u.Scheme)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if !slices.Contains(known, name) {
			accepts := "takes no parameters"
			if len(known) > 0 {
				accepts = "known are " + strings.Join(known, ", ")
			}
			return &ParamError{Scheme: u.Scheme, Name: name, accepts: accepts}
		}
		if len(query[name]) > 1 {
			return fmt.Errorf("%w: %s: parameter %q is given more than once", ErrURL, u.Scheme, name)
		}
	}
	return nil
}

// A ParamError is an ErrURL: the driver of Scheme does not know the parameter Name.
type ParamError struct{ Scheme, Name, accepts string }

// Error implements error.
func (e *ParamError) Error() string {
	return fmt.Sprintf("%v: %s: unknown parameter %q; %s", ErrURL, e.Scheme, e.Name, e.accepts)
}

// Unwrap returns ErrURL.
func (e *ParamError) Unwrap() error { return ErrURL }

func known() string {
	names := Drivers()
	for i, n := range names {
		names[i] = n + "://"
	}
	return strings.Join(names, ", ")
}

// parseReason says what is wrong with a URL without repeating any of it: the
// text of a *url.Error, and that of some errors inside it, contains the password.
func parseReason(err error) string {
	text := err.Error()
	switch {
	case strings.Contains(text, "invalid port"):
		return "the port is not a number"
	case strings.Contains(text, "invalid userinfo"):
		return "the user or password has a character that must be percent-encoded"
	case strings.Contains(text, "invalid URL escape"):
		return "a percent sign is not followed by two hexadecimal digits"
	case strings.Contains(text, "missing protocol scheme"):
		return "no scheme; write one of " + known()
	default:
		return "it is not well formed"
	}
}
