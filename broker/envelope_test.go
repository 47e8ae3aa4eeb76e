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
	long := binary.AppendUvarint([]byte("\xFFpg1t"), 300)
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

// checkWire: whatever is published arrives byte for byte, as Normalized says.
func checkWire(t interface{ Fatalf(string, ...any) }, data []byte, binary bool) {
	m := broker.Message{Channel: "chat", Data: data, Binary: binary}
	wire := broker.AppendWire(nil, m)
	if diff := cmp.Diff(m.Normalized(), broker.ParseWire("chat", wire), cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("through the wire as %q (-want +got):\n%s", wire, diff)
	}
	if !m.Normalized().Binary && !bytes.Equal(wire, data) {
		t.Fatalf("text %q is on the wire as %q", data, wire)
	}
}

func TestWireRoundTrip(t *testing.T) {
	starts := rapid.SampledFrom([]string{"", "\xFF", "\xFFpg", "\xFFpg1", "\xFFpg1d", "\xFFpg1b\x00d", "\xFFpg1b\x00", "\xFFpg1x\x03"})
	rapid.Check(t, func(t *rapid.T) {
		data := append([]byte(starts.Draw(t, "start")), rapid.SliceOf(rapid.Byte()).Draw(t, "rest")...)
		checkWire(t, data, rapid.Bool().Draw(t, "binary"))
	})
}

// Any bytes are a message, and one that text receivers can rely on.
func FuzzParseWire(f *testing.F) {
	for _, seed := range []string{"", "hola", "\xFF", "\xFFpg1", "\xFFpg1dx", "\xFFpg1b\x00dx", "\xFFpg1x\x05ab", "\xFFpg1x\x80\x80"} {
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
		checkWire(t, wire, false)
		checkWire(t, wire, true)
	})
}
