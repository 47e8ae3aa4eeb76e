package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// Members are those of a JSON object, by their names without regard to case.
type members map[string]member

type member struct {
	name  string // as it stands there
	value json.RawMessage
}

// readMembers reads text, which must be one JSON object and nothing else, in valid UTF-8. A name that
// comes twice is refused, at the top in any case and below as it is written: readers take
// different ones (RFC 8725, section 2.4; RFC 7519, section 4).
func readMembers(text []byte) (members, error) {
	in := jsontext.NewDecoder(bytes.NewBuffer(text))
	if t, err := in.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, invalid("not a JSON object")
	}
	ms := members{}
	for in.PeekKind() == '"' {
		name, value, err := readMember(in, text)
		if err != nil {
			return nil, err
		}
		if _, twice := ms[fold(name)]; twice {
			return nil, invalid("a member comes twice")
		}
		ms[fold(name)] = member{name, value}
	}
	if _, err := in.ReadToken(); err != nil || len(bytes.TrimLeft(text[in.InputOffset():], " \t\r\n")) > 0 {
		return nil, invalid("not valid JSON")
	}
	return ms, nil
}

// readMember reads a name and its value, which is a part of text.
func readMember(in *jsontext.Decoder, text []byte) (string, json.RawMessage, error) {
	t, err := in.ReadToken()
	if err != nil {
		return "", nil, unreadable(err)
	}
	name := t.String()
	value, err := in.ReadValue()
	if err != nil {
		return "", nil, unreadable(err)
	}
	end := in.InputOffset()
	return name, json.RawMessage(text[end-int64(len(value)) : end]), nil
}

func unreadable(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalid("a member comes twice")
	}
	return invalid("not valid JSON")
}

// fold returns what all names have in common that encoding/json and others take for the same: not
// only SUB is sub to them, ſub is, too.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		first := r
		for same := unicode.SimpleFold(r); same != r; same = unicode.SimpleFold(same) {
			first = min(first, same)
		}
		return first
	}, name)
}

// get returns the member of that name. One in another case is an error.
func (ms members) get(name string) (value json.RawMessage, ok bool, err error) {
	m, ok := ms[fold(name)]
	switch {
	case !ok:
		return nil, false, nil
	case m.name != name:
		return nil, false, invalid("a member in another case")
	}
	return m.value, true, nil
}

// text returns the string that a member is, and false where there is none.
func (ms members) text(name string) (string, bool, error) {
	raw, ok, err := ms.get(name)
	if err != nil || !ok {
		return "", false, err
	}
	s, ok := text(raw)
	if !ok {
		return "", false, invalid(name + " is not a string")
	}
	return s, true, nil
}

// text returns the string that a valid JSON value is.
func text(value json.RawMessage) (string, bool) {
	if jsontext.Value(value).Kind() != '"' {
		return "", false
	}
	s, err := jsontext.AppendUnquote(nil, value)
	return string(s), err == nil
}

// texts returns the strings that a valid JSON value is an array of.
func texts(value json.RawMessage) ([]string, bool) {
	if jsontext.Value(value).Kind() != '[' {
		return nil, false
	}
	in := jsontext.NewDecoder(bytes.NewBuffer(value))
	_, _ = in.ReadToken() // the bracket
	list := []string{}
	for in.PeekKind() != ']' {
		t, err := in.ReadToken()
		if err != nil || t.Kind() != '"' {
			return nil, false
		}
		list = append(list, t.String())
	}
	return list, true
}
