package transport

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Settings are what was set for one Transport: each is a text under a name in lower case
// with hyphens, such as max-lines. The program pregon takes them from the environment,
// where that of a Transport lines is PREGON_LINES_MAX_LINES; an embedder gives them to
// server.New.
//
// The Maker asks for all that it knows. What it has not asked for when it returns is
// taken for a mistake, and the server does not start. Nil has no settings.
type Settings struct {
	values map[string]string
	asked  map[string]bool
}

// ErrSetting is wrapped by what is said of settings that make no sense.
var ErrSetting = errors.New("transport: bad setting")

// NewSettings returns the Settings that have values. The map is not kept.
func NewSettings(values map[string]string) *Settings {
	return &Settings{values: maps.Clone(values), asked: map[string]bool{}}
}

// Lookup returns the setting of that name, and whether there is one.
func (s *Settings) Lookup(name string) (value string, given bool) {
	if s == nil {
		return "", false
	}
	s.asked[name] = true
	value, given = s.values[name]
	return value, given
}

// Check returns an error that names the settings for which nobody has asked.
func (s *Settings) Check() error {
	if s == nil {
		return nil
	}
	var unknown []string
	for name := range s.values {
		if !s.asked[name] {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return fmt.Errorf("%w: unknown: %s", ErrSetting, strings.Join(unknown, ", "))
}

// Setting returns the setting of that name as parse reads it, such as strconv.Atoi, or
// byDefault where there is none. Its error has the name in it and not the text, which may
// be a secret.
func Setting[T any](s *Settings, name string, byDefault T, parse func(string) (T, error)) (T, error) {
	text, given := s.Lookup(name)
	if !given {
		return byDefault, nil
	}
	value, err := parse(text)
	if err != nil {
		return byDefault, fmt.Errorf("%w: %s has a value that cannot be used", ErrSetting, name)
	}
	return value, nil
}
