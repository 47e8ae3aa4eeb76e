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
)

var (
	errNoArray = errors.New("server: not a JSON array")
	errBadJSON = errors.New("server: not valid JSON")
)

// jsonText returns the text of a JSON string, and false for any other value.
func jsonText(value []byte) (string, bool) {
	var text *string // stays nil for null
	if json.Unmarshal(value, &text) != nil || text == nil {
		return "", false
	}
	return *text, true
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
		if !json.Valid(object) {
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
		in := json.NewDecoder(bytes.NewReader(array))
		_, _ = in.Token() // the bracket
		for in.More() {
			var element json.RawMessage
			if in.Decode(&element) != nil {
				yield(nil, errBadJSON)
				return
			}
			if !yield(element, nil) {
				return
			}
		}
		end, _ := in.Token()
		if _, err := in.Token(); end != json.Delim(']') || err != io.EOF {
			yield(nil, errBadJSON) // cut short, or followed by something
		}
	}
}
