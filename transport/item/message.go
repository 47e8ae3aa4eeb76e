package item

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// Message returns the message that is the members data and encoding, valid JSON values, either of
// which is empty where it is not there. The text of a string is the message; any other value is
// published as the text that it came as; and what encoding says is base64 is binary. Its Data is
// a copy.
func Message(data, encoding []byte) (broker.Message, error) {
	switch {
	case len(data) == 0:
		return broker.Message{}, bad("no_message", "There is no member data.")
	case len(encoding) == 0:
		m, err := FromJSON(data)
		m.Data = bytes.Clone(m.Data)
		return m, err
	}
	if name, _ := Text(encoding); name != "base64" {
		return broker.Message{}, bad("bad_encoding", "The encoding of data is base64, or is not given.")
	}
	text, ok := Text(data)
	binary, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || strings.ContainsAny(text, "\r\n") { // which the package skips
		return broker.Message{}, bad("bad_encoding", "The data is not a string of base64 with padding (RFC 4648, section 4).")
	}
	return broker.Message{Data: binary, Binary: true}, nil
}

// FromJSON returns the message that is a valid JSON value: the text of a string, or any other value as
// the text that it came as. Its Data may be a part of value.
func FromJSON(value []byte) (broker.Message, error) {
	trimmed := bytes.Trim(value, Space)
	switch {
	case trimmed[0] != '"':
		return broker.Message{Data: value}, nil
	case bytes.IndexByte(trimmed, '\\') < 0:
		return broker.Message{Data: trimmed[1 : len(trimmed)-1]}, nil
	case HasLoneSurrogate(trimmed):
		return broker.Message{}, bad("invalid_utf8", "The message is not valid Unicode; send bytes as such, or in base64.")
	}
	return broker.Message{Data: unquote(trimmed)}, nil
}

func bad(code, detail string) *transport.Problem {
	return &transport.Problem{Status: http.StatusBadRequest, Code: code, Detail: detail}
}
