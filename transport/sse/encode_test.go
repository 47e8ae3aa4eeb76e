package sse_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/sse"
)

// An event is what EventSource would dispatch.
type event struct{ name, data string }

// parse interprets a stream as WHATWG HTML section 9.2.6 says.
func parse(stream []byte) (events []event) {
	text := strings.TrimPrefix(string(stream), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	var name, data string
	for line := range strings.SplitSeq(text, "\n") {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != "" {
				events = append(events, event{name, strings.TrimSuffix(data, "\n")})
			}
			name, data = "", ""
		case field == "event":
			name = value
		case field == "data":
			data += value + "\n"
		}
	}
	return events
}

// normal is a payload as EventSource can give it back: every line end is LF.
func normal(payload string) string {
	return strings.ReplaceAll(strings.ReplaceAll(payload, "\r\n", "\n"), "\r", "\n")
}

var payloads = []string{
	"", "hola", "¡Hola!", "\n", "\r", "\r\n", "\n\n", "a\nb", "a\rb", "a\r\nb", "trailing\n", " leading", "  two",
	"id: 7", "data: x", "event: gap\ndata: x", ": comment", "\uFEFFbom", "\x00", "a\n\nb\r\r\nc", ":", "retry: 1\n\n",
}

// Any text is exactly one event with the same payload, line ends apart.
func FuzzAppendEvent(f *testing.F) {
	for _, p := range payloads {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		for _, name := range []string{"", "gap"} {
			// As in life, something stands before it in the stream.
			stream := sse.AppendEvent([]byte("retry: 1\n\n"), name, []byte(payload))
			got := parse(stream)
			if len(got) != 1 || got[0] != (event{name, normal(payload)}) {
				t.Errorf("%q became %q", payload, got)
			}
		}
	})
}

// One allocation an event of one line, so one a message for all its readers.
func TestAppendEventAllocatesOnce(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 128)
	if n := testing.AllocsPerRun(100, func() { sse.AppendEvent(nil, "", payload) }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

// The formats as event streams frame them.
func TestFormats(t *testing.T) {
	for _, c := range []struct {
		format string
		m      broker.Message
		want   event
	}{
		{"raw", broker.Message{Channel: "c", Data: []byte("hola")}, event{"", "hola"}},
		{"text", broker.Message{Channel: "c", Data: []byte("hola")}, event{"", "[c] hola"}},
		{"json", broker.Message{Channel: "c", Data: []byte("<h>\n")}, event{"", `{"type":"message","channel":"c","data":"<h>\n"}`}},
		{"raw", broker.Message{Channel: "c", Data: []byte{0xFF}, Binary: true}, event{"binary", "/w=="}},
	} {
		f, ok := transport.FormatByName(c.format)
		if !ok {
			t.Fatal(c.format)
		}
		payload, _ := f.AppendMessage(nil, c.m)
		name := ""
		if c.want.name == "binary" {
			name, payload = "binary", []byte("/w==")
		}
		if got := parse(sse.AppendEvent(nil, name, payload)); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", c.format, got, c.want)
		}
	}
}
