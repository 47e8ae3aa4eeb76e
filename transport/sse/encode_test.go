package sse_test

import (
	"bytes"
	"errors"
	"io"
	"net/http/httputil"
	"slices"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/sse"
)

// An event is what EventSource would dispatch.
type event struct{ name, id, data string }

// parse interprets a stream as WHATWG HTML section 9.2.6 says.
func parse(stream []byte) (events []event) {
	text := strings.TrimPrefix(string(stream), "\uFEFF")
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	var name, id, data string // id is kept from event to event
	for line := range strings.SplitSeq(text, "\n") {
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			if data != "" {
				events = append(events, event{name, id, strings.TrimSuffix(data, "\n")})
			}
			name, data = "", ""
		case field == "event":
			name = value
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
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

// Any text is exactly one event with the same payload, line ends apart, and the
// same id, unless that would break the stream: then it has none.
func FuzzAppendEvent(f *testing.F) {
	for _, p := range payloads {
		f.Add(p, "")
		f.Add(p, "AAECAwQ-_w")
		f.Add("hola", p)
	}
	f.Fuzz(func(t *testing.T, payload, id string) {
		wantID := id
		if strings.ContainsAny(id, "\r\n\x00") {
			wantID = ""
		}
		for _, name := range []string{"", "gap"} {
			// As in life, something stands before it in the stream.
			stream := sse.AppendEvent([]byte("retry: 1\n"), name, id, []byte(payload))
			got := parse(stream)
			if len(got) != 1 || got[0] != (event{name, wantID, normal(payload)}) {
				t.Errorf("%q with id %q became %q", payload, id, got)
			}
		}
	})
}

// One allocation an event of one line, so one a message for all its readers.
func TestAppendEventAllocatesOnce(t *testing.T) {
	payload := bytes.Repeat([]byte("x"), 128)
	if n := testing.AllocsPerRun(100, func() { sse.AppendEvent(nil, "", "AAECAwQ-_w", payload) }); n != 1 {
		t.Errorf("%v allocations", n)
	}
}

// The formats as event streams frame them: the id is the cursor, whatever the
// format.
func TestFormats(t *testing.T) {
	at := broker.Position{Epoch: 7, Seq: 3}
	id := transport.Cursor("c", at)
	for _, c := range []struct {
		format string
		m      broker.Message
		want   event
	}{
		{"raw", broker.Message{Channel: "c", Data: []byte("hola")}, event{"", "", "hola"}},
		{"raw", broker.Message{Channel: "c", Data: []byte("hola"), Position: at}, event{"", id, "hola"}},
		{"text", broker.Message{Channel: "c", Data: []byte("hola"), Position: at}, event{"", id, "[c] hola"}},
		{"json", broker.Message{Channel: "c", Data: []byte("<h>\n")}, event{"", "", `{"type":"message","channel":"c","data":"<h>\n"}`}},
		{"json", broker.Message{Channel: "c", Data: []byte("x"), Position: at}, event{"", id, `{"type":"message","channel":"c","data":"x","id":"` + id + `"}`}},
		{"raw", broker.Message{Channel: "c", Data: []byte{0xFF}, Binary: true, Position: at}, event{"binary", id, "/w=="}},
	} {
		if got := parse(unchunked(t, join(t, c.format).Encoding.Message(c.m))); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: %q, want %q", c.format, got, c.want)
		}
	}
}

// What is no message has no id, so that a client continues behind the last message.
func TestEventsHaveNoID(t *testing.T) {
	at := broker.Position{Epoch: 7, Seq: 3}
	c := connect(t, "HTTP/1.1", "raw", transport.Start{Since: true, After: at})
	e := c.subscriber.Encoding
	subscribed, _ := c.subscribed[0].Answer(transport.Subscribed{Channel: "c", Position: at})
	for name, b := range map[string][]byte{
		"gap":        e.Gap(transport.Gap{Channel: "c", From: at, To: at}),
		"subscribed": subscribed,
	} {
		if got := parse(unchunked(t, b)); len(got) != 1 || got[0].name != name || got[0].id != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// Who is in a channel is told as events of their own in the format json, and in no other, as the server
// promises.
func TestPresenceIsToldInJSON(t *testing.T) {
	ana := transport.Member{Subject: "ana", Connections: 2}
	for _, f := range transport.Formats() {
		e, ok := join(t, f.Name()).Encoding.(transport.PresenceEncoding)
		if !ok {
			t.Fatal("an encoding cannot tell who is in a channel")
		}
		members := e.Members(transport.Members{Channel: "c", Count: 1, Members: []transport.Member{ana}})
		presence := e.Presence(transport.Presence{Channel: "c", Left: []string{"ana"}})
		if f.Name() != "json" {
			if len(members)+len(presence) > 0 {
				t.Errorf("%s: %q, %q", f.Name(), members, presence)
			}
			continue
		}
		want := []event{
			{"members", "", `{"type":"members","channel":"c","count":1,"members":[{"sub":"ana","connections":2}]}`},
			{"presence", "", `{"type":"presence","channel":"c","left":["ana"]}`},
		}
		if got := parse(unchunked(t, append(members, presence...))); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// unchunked returns what chunks carry, of which the last is not the end of the answer.
func unchunked(t testing.TB, chunks []byte) []byte {
	t.Helper()
	stream, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(chunks)))
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Fatalf("%q: %v, want chunks without an end", chunks, err)
	}
	return stream
}

// What is sent has a size that is right, however long it is, and takes two allocations:
// the payload and its event.
func TestChunks(t *testing.T) {
	e := join(t, "raw").Encoding
	for _, size := range []int{0, 1, 2, 9, 10, 100, 240, 1 << 10, 64 << 10, 1 << 20} {
		m := broker.Message{Channel: "c", Data: bytes.Repeat([]byte("x"), size)}
		want := "data: " + string(m.Data) + "\n\n"
		if got := unchunked(t, e.Message(m)); string(got) != want {
			t.Errorf("%d bytes became %.50q", size, got)
		}
		if n := testing.AllocsPerRun(10, func() { e.Message(m) }); size <= 240 && n > 2 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}

// Some clients dispatch an event at every blank line: so there is none without data
// before it, and what has no blank line may stand before anything.
func TestNoBlankLineWithoutData(t *testing.T) {
	s := connect(t, "HTTP/1.1", "json", transport.Start{})
	e, control := s.subscriber.Encoding, s.subscriber.Control
	var stream []byte
	for _, block := range [][]byte{
		control.Ping(), e.Message(broker.Message{Channel: "c", Data: []byte("1")}), control.Ping(), control.Ping(),
		e.Gap(transport.Gap{Channel: "c"}), e.Message(broker.Message{Channel: "c"}), control.Ping(),
	} {
		stream = append(stream, block...)
	}
	text := string(s.opening) + string(unchunked(t, stream))
	data := false
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if line == "" && !data {
			t.Fatalf("a blank line without data before it:\n%s", text)
		}
		data = line != "" && (data || strings.HasPrefix(line, "data:"))
	}
	if got := parse([]byte(text)); len(got) != 4 {
		t.Errorf("%d events, want start, message, gap and message: %q", len(got), got)
	}
}
