package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"unicode"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

var (
	errNoArray = errors.New("server: not a JSON array")
	errBadJSON = errors.New("server: not valid JSON")
)

// grammar takes JSON as RFC 8259 has it. What package jsontext would refuse beyond that
// is checked where it matters, and has answers of its own.
var grammar = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// validJSON reports whether text is one JSON value.
func validJSON(text []byte) bool { return jsontext.Value(text).IsValid(grammar...) }

// jsonText returns the text of a valid JSON value that is a string, and false for any
// other. Half a surrogate pair becomes U+FFFD: see hasLoneSurrogate.
func jsonText(value []byte) (string, bool) {
	value = bytes.Trim(value, jsonSpace)
	switch {
	case value[0] != '"':
		return "", false
	case bytes.IndexByte(value, '\\') < 0:
		return string(value[1 : len(value)-1]), true
	}
	text, _ := jsontext.AppendUnquote(nil, value) // an error is of what was replaced
	return string(text), true
}

// hasLoneSurrogate reports whether a valid JSON string escapes half of a
// surrogate pair without the other. That is no character, and no UTF-8 text has it
// (RFC 8259, section 8.2); encoding/json would replace it.
func hasLoneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		text = text[i:]
		unit, ok := escapedUnit(text)
		switch {
		case !ok:
			text = text[2:] // an escape of one letter
			continue
		case utf16.IsSurrogate(unit):
			text = text[6:]
			low, ok := escapedUnit(text)
			if !ok || utf16.DecodeRune(unit, low) == unicode.ReplacementChar {
				return true
			}
		}
		text = text[6:]
	}
}

// escapedUnit returns the UTF-16 code unit of the escape of six characters, such as
// \u00f1, that text begins with.
func escapedUnit(text []byte) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	unit, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(unit), err == nil
}

// one ranges over a body that is one JSON object and nothing else.
func one(object []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		var err error
		if !validJSON(object) {
			err = errBadJSON
		}
		yield(bytes.Trim(object, jsonSpace), err)
	}
}

// jsonSpace is what may stand around JSON values.
const jsonSpace = " \t\r\n"

// elements ranges over the elements of a JSON array. It yields errNoArray for
// another value, and any other error for bad JSON; both end it. The caller may
// keep what it yields.
func elements(array []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if array = bytes.TrimLeft(array, jsonSpace); len(array) == 0 || array[0] != '[' {
			yield(nil, errNoArray)
			return
		}
		in := jsontext.NewDecoder(bytes.NewBuffer(array), grammar...)
		_, _ = in.ReadToken() // the bracket
		for in.PeekKind() != ']' {
			element, err := in.ReadValue()
			if err != nil {
				yield(nil, errBadJSON)
				return
			}
			if !yield(bytes.Clone(element), nil) { // a part of array would keep all of it
				return
			}
		}
		if _, err := in.ReadToken(); err == nil {
			_, err = in.ReadToken()
			if err == io.EOF {
				return
			}
		}
		yield(nil, errBadJSON) // followed by something
	}
}
