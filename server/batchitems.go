package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"iter"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/pregon/pregon/transport/item"
)

var (
	errNoArray = errors.New("server: not a JSON array")
	errBadJSON = errors.New("server: not valid JSON")
)

// lines ranges over the lines of body that are not blank.
func lines(body []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		for line := range bytes.SplitSeq(body, []byte("\n")) {
			if line = bytes.Trim(line, " \t\r"); len(line) == 0 {
				continue
			}
			var err error
			if !item.Valid(line) {
				err = errBadJSON
			}
			if !yield(line, err) {
				return
			}
		}
	}
}

// one ranges over a body that is one JSON object and nothing else.
func one(object []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		var err error
		if !item.Valid(object) {
			err = errBadJSON
		}
		yield(bytes.Trim(object, item.Space), err)
	}
}

// elements ranges over the elements of a JSON array. It yields errNoArray for
// another value, and any other error for bad JSON; both end it. What it
// yields is valid until the next one.
func elements(array []byte) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		if array = bytes.TrimLeft(array, item.Space); len(array) == 0 || array[0] != '[' {
			yield(nil, errNoArray)
			return
		}
		in := jsontext.NewDecoder(bytes.NewBuffer(array), item.Grammar...)
		_, _ = in.ReadToken() // the bracket
		for in.PeekKind() != ']' {
			element, err := in.ReadValue()
			if err != nil {
				yield(nil, errBadJSON)
				return
			}
			if !yield(json.RawMessage(element), nil) {
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
