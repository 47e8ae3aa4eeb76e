package broker_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pregon/pregon/broker"
	"pgregory.net/rapid"
)

// The bytes on the wire are a contract with other programs.
func TestAppendWire(t *testing.T) {
	for _, c := range []struct {
		name string
		m    broker.Message
		want string
	}{
		{"text is bare", broker.Message{Data: []byte("¡hola!")}, "¡hola!"},
		{"empty text is empty", broker.Message{}, ""},
		{"binary", broker.Message{Data: []byte("ab"), Binary: true}, "\xFFpg1b\x00dab"},
		{"empty binary", broker.Message{Binary: true}, "\xFFpg1b\x00d"},
		{"invalid text is binary", broker.Message{Data: []byte("\xFE")}, "\xFFpg1b\x00d\xFE"},
		{"text of somebody", broker.Message{Data: []byte("hola"), By: &broker.Author{Subject: "u1", Session: "ab"}}, "\xFFpg1u\x02u1s\x02abdhola"},
		{"of a subject", broker.Message{Data: []byte("hola"), By: &broker.Author{Subject: "u1"}}, "\xFFpg1u\x02u1dhola"},
		{"of a session", broker.Message{Data: []byte("\xFE"), By: &broker.Author{Session: "ab"}}, "\xFFpg1s\x02abb\x00d\xFE"},
		{"of a long subject", broker.Message{By: &broker.Author{Subject: strings.Repeat("u", 255)}}, "\xFFpg1u\xFF\x01" + strings.Repeat("u", 255) + "d"},
		{"with a position", broker.Message{Data: []byte("hola"), Position: broker.Position{Epoch: 1, Seq: 2}, By: &broker.Author{Subject: "u1"}}, "\xFFpg1p\x031-2u\x02u1dhola"},
		{"of a trace", broker.Message{Data: []byte("hola"), Traceparent: sampled}, "\xFFpg1t\x37" + sampled + "dhola"},
		{"of a trace and somebody", broker.Message{Data: []byte("\xFE"), By: &broker.Author{Subject: "u1"}, Traceparent: sampled}, "\xFFpg1u\x02u1t\x37" + sampled + "b\x00d\xFE"},
		{"of a trace that is not sampled", broker.Message{Data: []byte("hola"), Traceparent: sampled[:54] + "0"}, "hola"},
		{"of nobody", broker.Message{Data: []byte("hola"), By: &broker.Author{}}, "hola"},
		{"of nobody that there can be", broker.Message{Data: []byte("hola"), By: &broker.Author{Subject: strings.Repeat("u", 256)}}, "hola"},
		{"what looks like an envelope", broker.Message{Data: []byte("\xFFpg1dx")}, "\xFFpg1b\x00d\xFFpg1dx"},
	} {
		if got := broker.AppendWire(nil, c.m); string(got) != c.want {
			t.Errorf("%s: AppendWire = %q, want %q", c.name, got, c.want)
		}
		if got := broker.AppendWire([]byte("before"), c.m); string(got) != "before"+c.want {
			t.Errorf("%s: AppendWire to bytes that are there = %q, want %q", c.name, got, "before"+c.want)
		}
	}
}

// Fields that a later version adds are skipped, and what is no envelope is
// delivered as it is.
func TestParseWire(t *testing.T) {
	long := binary.AppendUvarint([]byte("\xFFpg1l"), 300)
	long = append(long, strings.Repeat("v", 300)...)
	for _, c := range []struct {
		name, wire, data string
		binary           bool
	}{
		{"text", "hola", "hola", false},
		{"empty", "", "", false},
		{"envelope of binary", "\xFFpg1b\x00dhola", "hola", true},
		{"envelope of text", "\xFFpg1dhola", "hola", false},
		{"envelope of text that is not", "\xFFpg1d\xFE", "\xFE", true},
		{"empty payload", "\xFFpg1d", "", false},
		{"unknown field", "\xFFpg1x\x03abcdhola", "hola", false},
		{"unknown fields around a known", "\xFFpg1x\x00b\x00y\x01zdhola", "hola", true},
		{"long field", string(long) + "dhola", "hola", false},
		{"known field with a value", "\xFFpg1b\x02zzdhola", "hola", true},
		{"payload that begins like a field", "\xFFpg1db\x00", "b\x00", false},
		{"payload that is an envelope", "\xFFpg1b\x00d\xFFpg1dx", "\xFFpg1dx", true},

		{"the byte FF", "\xFF", "\xFF", true},
		{"part of the magic", "\xFFpg", "\xFFpg", true},
		{"magic alone", "\xFFpg1", "\xFFpg1", true},
		{"another version", "\xFFpg2dhola", "\xFFpg2dhola", true},
		{"no payload", "\xFFpg1b\x00", "\xFFpg1b\x00", true},
		{"no length", "\xFFpg1b", "\xFFpg1b", true},
		{"value cut", "\xFFpg1x\x05ab", "\xFFpg1x\x05ab", true},
		{"length cut", "\xFFpg1x\x80", "\xFFpg1x\x80", true},
		{"length beyond 64 bits", "\xFFpg1x\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7Fd", "\xFFpg1x\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7Fd", true},
		{"greatest length", "\xFFpg1x\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01d", "\xFFpg1x\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01d", true},
		{"stranger's binary", "\x00\xFE", "\x00\xFE", true},
	} {
		want := broker.Message{Channel: "chat", Data: []byte(c.data), Binary: c.binary}
		if diff := cmp.Diff(want, broker.ParseWire("chat", []byte(c.wire)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: ParseWire(%q) (-want +got):\n%s", c.name, c.wire, diff)
		}
	}
}

// An author is read as it was written, whatever else is in the envelope. One that cannot be
// is none, and so is one that is not in an envelope.
func TestParseAuthor(t *testing.T) {
	field := func(tag byte, n int) string {
		return string(binary.AppendUvarint([]byte{tag}, uint64(n))) + strings.Repeat("v", n)
	}
	for _, c := range []struct {
		name, wire string
		want       *broker.Author
	}{
		{"both", "\xFFpg1u\x02u1s\x02abdx", &broker.Author{Subject: "u1", Session: "ab"}},
		{"the other order", "\xFFpg1b\x00s\x02abx\x01yu\x02u1dx", &broker.Author{Subject: "u1", Session: "ab"}},
		{"a subject", "\xFFpg1u\x02u1dx", &broker.Author{Subject: "u1"}},
		{"a session", "\xFFpg1s\x02abdx", &broker.Author{Session: "ab"}},
		{"the longest", "\xFFpg1" + field('u', 255) + field('s', 64) + "dx", &broker.Author{Subject: strings.Repeat("v", 255), Session: strings.Repeat("v", 64)}},
		{"too long a subject", "\xFFpg1" + field('u', 256) + "s\x02abdx", nil},
		{"too long a session", "\xFFpg1u\x02u1" + field('s', 65) + "dx", nil},
		{"empty", "\xFFpg1u\x00s\x00dx", nil},
		{"no UTF-8", "\xFFpg1u\x02u\xFEdx", nil},
		{"cut", "\xFFpg1u\x09u1dx", nil},
		{"in the payload", "\xFFpg1du\x02u1dx", nil},
		{"bare", "u\x02u1dx", nil},
	} {
		if diff := cmp.Diff(c.want, broker.ParseWire("chat", []byte(c.wire)).By); diff != "" {
			t.Errorf("%s: the author (-want +got):\n%s", c.name, diff)
		}
	}
}

// What an author adds to an envelope is a field like any that a version does not know: one
// from before there were authors reads the same message.
func TestAuthorsAreSkipped(t *testing.T) {
	m := broker.Message{Channel: "chat", Data: []byte("\xFE"), Position: broker.Position{Epoch: 1, Seq: 2}}
	named := m
	named.By = &broker.Author{Subject: strings.Repeat("u", 255), Session: "ab"}
	unknown := strings.NewReplacer("u\xFF\x01", "U\xFF\x01", "s\x02ab", "S\x02ab").Replace(string(broker.AppendWire(nil, named)))
	if diff := cmp.Diff(m.Normalized(), broker.ParseWire("chat", []byte(unknown)), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("with tags that are not known (-want +got):\n%s", diff)
	}
}

// checkWire: whatever is published arrives byte for byte, as Normalized says.
func checkWire(t interface{ Fatalf(string, ...any) }, data []byte, binary bool, by *broker.Author) {
	m := broker.Message{Channel: "chat", Data: data, Binary: binary, By: by}
	wire := broker.AppendWire(nil, m)
	if diff := cmp.Diff(m.Normalized(), broker.ParseWire("chat", wire), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("through the wire as %q (-want +got):\n%s", wire, diff)
	}
	if m = m.Normalized(); !m.Binary && m.By == nil && !bytes.Equal(wire, data) {
		t.Fatalf("text %q is on the wire as %q", data, wire)
	}
}

func TestWireRoundTrip(t *testing.T) {
	starts := rapid.SampledFrom([]string{"", "\xFF", "\xFFpg", "\xFFpg1", "\xFFpg1d", "\xFFpg1b\x00d", "\xFFpg1b\x00", "\xFFpg1x\x03"})
	rapid.Check(t, func(t *rapid.T) {
		data := append([]byte(starts.Draw(t, "start")), rapid.SliceOf(rapid.Byte()).Draw(t, "rest")...)
		by := &broker.Author{Subject: rapid.StringN(-1, -1, 300).Draw(t, "subject"), Session: rapid.StringN(-1, -1, 70).Draw(t, "session")}
		checkWire(t, data, rapid.Bool().Draw(t, "binary"), by)
	})
}

// Any bytes are a message, and one that text receivers can rely on.
func FuzzParseWire(f *testing.F) {
	for _, seed := range []string{"", "hola", "\xFF", "\xFFpg1", "\xFFpg1dx", "\xFFpg1b\x00dx", "\xFFpg1x\x05ab", "\xFFpg1x\x80\x80", "\xFFpg1u\x02u1s\x02abdx"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		m := broker.ParseWire("chat", wire)
		if m.Channel != "chat" || !m.Binary && !utf8.Valid(m.Data) {
			t.Fatalf("ParseWire(%q) = %+v", wire, m)
		}
		if !bytes.HasSuffix(wire, m.Data) {
			t.Fatalf("ParseWire(%q): payload %q is not the end of it", wire, m.Data)
		}
		checkWire(t, wire, false, nil)
		checkWire(t, wire, true, m.By)
		if by := m.By; by != nil && (*by == (broker.Author{}) || len(by.Subject) > broker.MaxSubject || len(by.Session) > broker.MaxSession ||
			!utf8.ValidString(by.Subject+by.Session)) {
			t.Fatalf("ParseWire(%q): by %+v", wire, by)
		}
	})
}
