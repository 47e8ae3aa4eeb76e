package item_test

import (
	"errors"
	"testing"

	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/item"
)

// What the members data and encoding mean: the text of a string, the text of any other value, or the
// bytes of base64; all else has its code.
func TestMessage(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		data, encoding string
		want           string
		binary         bool
		code           string
	}{
		{data: `"hola"`, want: "hola"},
		{data: `""`},
		{data: ` "a\u00f1\n\ud83d\ude00" `, want: "añ\n😀"},
		{data: `{"a": 1e400}`, want: `{"a": 1e400}`},
		{data: `null`, want: `null`},
		{data: `"/x=="`, encoding: `"base64"`, code: "bad_encoding"}, // bits that mean nothing are set
		{data: `"/wA="`, encoding: `"base64"`, want: "\xff\x00", binary: true},
		{data: `""`, encoding: `"base64"`, binary: true},
		{data: `"\/wA="`, encoding: `"base\u00364"`, want: "\xff\x00", binary: true},
		{data: `"/wA"`, encoding: `"base64"`, code: "bad_encoding"},
		{data: `"/w\nA="`, encoding: `"base64"`, code: "bad_encoding"},
		{data: `7`, encoding: `"base64"`, code: "bad_encoding"},
		{data: `"a"`, encoding: `"utf-8"`, code: "bad_encoding"},
		{data: `"a"`, encoding: `null`, code: "bad_encoding"},
		{data: `"\ud800"`, code: "invalid_utf8"},
		{data: `"\udc00\ud800"`, code: "invalid_utf8"},
		{data: `"\\ud800"`, want: `\ud800`},
		{code: "no_message"},
	} {
		in := []byte(c.data)
		m, err := item.Message(in, []byte(c.encoding))
		clear(in) // a message has a copy
		if string(m.Data) != c.want || m.Binary != c.binary {
			t.Errorf("%s %s is %q, binary: %v", c.data, c.encoding, m.Data, m.Binary)
		}
		var p *transport.Problem
		if errors.As(err, &p); (p == nil) != (c.code == "") || p != nil && (p.Code != c.code || p.Status != 400) {
			t.Errorf("%s %s: %v", c.data, c.encoding, err)
		}
	}
}
