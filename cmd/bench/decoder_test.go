package bench_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pregon/pregon/cmd/bench"
)

// repeat is a payload that is long.
func repeat(n int) string { return strings.Repeat("x", n) }

// A server's frames, as in RFC 6455, section 5.2: the three forms of a length,
// control frames between fragments, and what is not a frame.
func TestFrames(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []bench.Event
		rest   int
		bad    string
	}{
		"short":              {"\x81\x02hi", []bench.Event{{bench.Message, "hi"}}, 0, ""},
		"two":                {"\x81\x01a\x82\x01b", []bench.Event{{bench.Message, "a"}, {bench.Message, "b"}}, 0, ""},
		"empty":              {"\x81\x00", []bench.Event{{bench.Message, ""}}, 0, ""},
		"125":                {"\x81\x7d" + repeat(125), []bench.Event{{bench.Message, repeat(125)}}, 0, ""},
		"126":                {"\x81\x7e\x00\x7e" + repeat(126), []bench.Event{{bench.Message, repeat(126)}}, 0, ""},
		"65535":              {"\x81\x7e\xff\xff" + repeat(65535), []bench.Event{{bench.Message, repeat(65535)}}, 0, ""},
		"65536":              {"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + repeat(65536), []bench.Event{{bench.Message, repeat(65536)}}, 0, ""},
		"ping":               {"\x89\x01p", []bench.Event{{bench.Ping, "p"}}, 0, ""},
		"pong":               {"\x8a\x01p", nil, 0, ""},
		"close":              {"\x88\x02\x03\xe8", []bench.Event{{bench.GoodBye, "\x03\xe8"}}, 0, ""},
		"fragments":          {"\x01\x01a\x00\x01b\x80\x01c", []bench.Event{{bench.Message, "abc"}}, 0, ""},
		"ping in between":    {"\x01\x01a\x89\x00\x80\x01b", []bench.Event{{bench.Ping, ""}, {bench.Message, "ab"}}, 0, ""},
		"twice fragments":    {"\x01\x01a\x80\x01b\x01\x01c\x80\x01d", []bench.Event{{bench.Message, "ab"}, {bench.Message, "cd"}}, 0, ""},
		"half a head":        {"\x81", nil, 1, ""},
		"half a length":      {"\x81\x7e\x00", nil, 3, ""},
		"half a long length": {"\x81\x7f\x00\x00\x00", nil, 5, ""},
		"half a payload":     {"\x81\x02h", nil, 3, ""},
		"masked":             {"\x81\x81\x00\x00\x00\x00x", nil, 0, "masked"},
		"reserved bit":       {"\xc1\x01x", nil, 0, "reserved"},
		"reserved opcode":    {"\x83\x00", nil, 0, "opcode 3"},
		"long control frame": {"\x89\x7e\x00\x7e" + repeat(126), nil, 0, "control"},
		"ping in parts":      {"\x09\x00", nil, 0, "control"},
		"end of nothing":     {"\x80\x01x", nil, 0, "out of place"},
		"no end":             {"\x01\x01a\x81\x01b", nil, 0, "out of place"},
		"too long":           {"\x81\x7f\x00\x00\x00\x01\x00\x00\x00\x00", nil, 0, "64 MiB"},
		"negative length":    {"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", nil, 0, "64 MiB"},
	} {
		t.Run(name, func(t *testing.T) {
			checkDecoded(t, "ws", c.stream, c.want, c.rest, c.bad)
		})
	}
}

// An event stream, as in WHATWG HTML, section 9.2.6.
func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		stream string
		want   []bench.Event
		rest   int
	}{
		"one":           {"data: hi\n\n", []bench.Event{{bench.Message, "hi"}}, 0},
		"no space":      {"data:hi\n\n", []bench.Event{{bench.Message, "hi"}}, 0},
		"two spaces":    {"data:  hi\n\n", []bench.Event{{bench.Message, " hi"}}, 0},
		"lines":         {"data: a\ndata\ndata: b\n\n", []bench.Event{{bench.Message, "a\n\nb"}}, 0},
		"empty":         {"data\n\n", []bench.Event{{bench.Message, ""}}, 0},
		"CRLF":          {"data: a\r\ndata: b\r\n\r\n", []bench.Event{{bench.Message, "a\nb"}}, 0},
		"CR":            {"data: a\rdata: b\r\r", []bench.Event{{bench.Message, "a\nb"}}, 0},
		"mixed":         {"data: a\rdata: b\n\r\ndata: c\n\n", []bench.Event{{bench.Message, "a\nb"}, {bench.Message, "c"}}, 0},
		"comment":       {":\n\n: x\n\ndata: a\n\n", []bench.Event{{bench.Message, "a"}}, 0},
		"retry":         {"retry: 1000\n\ndata: a\n\n", []bench.Event{{bench.Message, "a"}}, 0},
		"gap":           {"event: gap\ndata: {}\n\ndata: a\n\n", []bench.Event{{bench.GapTold, "{}"}, {bench.Message, "a"}}, 0},
		"named message": {"event: message\ndata: a\n\n", []bench.Event{{bench.Message, "a"}}, 0},
		"other":         {"event: binary\ndata: a\n\n", nil, 0},
		"name alone":    {"event: gap\n\ndata: a\n\n", []bench.Event{{bench.Message, "a"}}, 0},
		"cut":           {"data: a\n\ndata: b", []bench.Event{{bench.Message, "a"}}, 7},
		"not ended":     {"data: a\n", nil, 0},
	} {
		t.Run(name, func(t *testing.T) { checkDecoded(t, "sse", c.stream, c.want, c.rest, "") })
	}
}

// What a server says over /live, which is frames with an object in each: it is told apart by the type,
// and what is not known is nothing.
func TestConversation(t *testing.T) {
	for text, kind := range map[string]any{
		`{"type":"message","channel":"c","data":"x"}`: bench.Message,
		`{"type":"gap","channel":"c"}`:                bench.GapTold,
		`{"type":"welcome"}`:                          bench.Welcome,
		`{"type":"subscribed","channel":"c"}`:         bench.Subscribed,
		`{"type":"published","ref":"1"}`:              bench.Published,
		`{"type":"error","status":400}`:               bench.Failed,
		`{"type":"unsubscribed","channel":"c"}`:       bench.Failed,
		`{"type":"ping"}`:                             nil,
		`{"type":"presence","channel":"c"}`:           nil,
		`{"kind":"message"}`:                          nil,
		`{"type":`:                                    nil,
		"":                                            nil,
	} {
		var want []bench.Event
		if kind, ok := kind.(bench.EventKind); ok {
			want = []bench.Event{{kind, text}}
		}
		checkDecoded(t, "live", string(frame([]byte(text))), want, 0, "")
	}
	checkDecoded(t, "live", "\x89\x01p\x88\x02\x03\xe8", []bench.Event{{bench.Ping, "p"}, {bench.GoodBye, "\x03\xe8"}}, 0, "")
	checkDecoded(t, "live", "\x83\x00", nil, 0, "opcode 3")
}

// checkDecoded decodes a stream that arrives at once, and byte by byte.
func checkDecoded(t *testing.T, transport, stream string, want []bench.Event, rest int, bad string) {
	t.Helper()
	for how, chunks := range map[string][][]byte{"at once": {[]byte(stream)}, "byte by byte": split(stream, 1)} {
		got, left, err := bench.Decode(transport, chunks...)
		if bad != "" {
			if err == nil || !strings.Contains(err.Error(), bad) {
				t.Errorf("%s: error %v, want one with %q", how, err, bad)
			}
			continue
		}
		if err != nil || left != rest {
			t.Errorf("%s: %d bytes are left, %v; want %d", how, left, err, rest)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", how, diff)
		}
	}
}

// split cuts a stream into chunks of size bytes.
func split(stream string, size int) (chunks [][]byte) {
	for len(stream) > size {
		chunks = append(chunks, []byte(stream[:size]))
		stream = stream[size:]
	}
	return append(chunks, []byte(stream))
}

// Whatever arrives, and however it is cut, a decoder finds the same and does not
// panic.
func FuzzDecoders(f *testing.F) {
	f.Add("\x81\x02hi\x01\x01a\x89\x01p\x80\x01b\x88\x02\x03\xe8", 3)
	f.Add("\x81\x7e\x00\x7e"+repeat(126), 5)
	f.Add("\x81\x10{\"type\":\"message\"\x81\x0e{\"type\":\"ping\"", 1)
	f.Add("retry: 1\r\n\r\nevent: gap\ndata: a\rdata: b\n\n:\n\n", 2)
	f.Fuzz(func(t *testing.T, stream string, size int) {
		for _, transport := range []string{"ws", "sse", "live"} {
			whole, left, err := bench.Decode(transport, []byte(stream))
			pieces, leftOver, errOver := bench.Decode(transport, split(stream, max(1, size))...)
			if diff := cmp.Diff(whole, pieces); diff != "" || (err == nil) != (errOver == nil) {
				t.Errorf("%s: %v and %v\n%s", transport, err, errOver, diff)
			}
			if err == nil && left != leftOver {
				t.Errorf("%s: %d and %d bytes are left", transport, left, leftOver)
			}
		}
	})
}
