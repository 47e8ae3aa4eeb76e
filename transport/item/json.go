package item

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
)

// Grammar takes JSON as RFC 8259 has it. What package jsontext would refuse beyond that
// is checked where it matters, and has answers of its own. It is not to be changed.
var Grammar = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// Space is what may stand around JSON values.
const Space = " \t\r\n"

// Valid reports whether text is one JSON value.
func Valid(text []byte) bool { return jsontext.Value(text).IsValid(Grammar...) }

// Text returns the text of a valid JSON value that is a string, and false for any
// other. Half a surrogate pair becomes U+FFFD: see HasLoneSurrogate.
func Text(value []byte) (string, bool) {
	value = bytes.Trim(value, Space)
	switch {
	case value[0] != '"':
		return "", false
	case bytes.IndexByte(value, '\\') < 0:
		return string(value[1 : len(value)-1]), true
	}
	return string(unquote(value)), true
}

// unquote returns the text of a valid JSON string, as a copy.
func unquote(value []byte) []byte {
	text, _ := jsontext.AppendUnquote(make([]byte, 0, len(value)), value) // an error is of what was replaced
	return text
}

// HasLoneSurrogate reports whether a valid JSON string escapes half of a
// surrogate pair without the other. That is no character, and no UTF-8 text has it
// (RFC 8259, section 8.2); encoding/json would replace it.
func HasLoneSurrogate(text []byte) bool {
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
