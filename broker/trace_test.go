package broker_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pregon/pregon/broker"
)

const sampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// Only a traceparent of version 00 that is sampled and well formed in every byte is one: what is
// on the wire may be a stranger's.
func TestParseTrace(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"sampled", sampled, sampled},
		{"sampled, and random", sampled[:54] + "3", sampled[:54] + "3"},
		{"further flags", sampled[:53] + "ff", sampled[:53] + "ff"},
		{"not sampled", sampled[:54] + "0", ""},
		{"not sampled, and random", sampled[:54] + "2", ""},
		{"empty", "", ""},
		{"cut", sampled[:54], ""},
		{"longer", sampled + "-", ""},
		{"another version", "01" + sampled[2:], ""},
		{"a version that cannot be", "ff" + sampled[2:], ""},
		{"upper case", strings.ToUpper(sampled), ""},
		{"no trace", sampled[:3] + strings.Repeat("0", 32) + sampled[35:], ""},
		{"no span", sampled[:36] + strings.Repeat("0", 16) + sampled[52:], ""},
		{"no digit in the trace", sampled[:34] + "g" + sampled[35:], ""},
		{"no digit in the span", sampled[:51] + "/" + sampled[52:], ""},
		{"no digit in the flags", sampled[:53] + "x1", ""},
		{"other separators", strings.ReplaceAll(sampled, "-", "_"), ""},
		{"control characters", "\r\n" + sampled[2:], ""},
	} {
		wire := "\xFFpg1t" + string(rune(len(c.value))) + c.value + "dhola"
		want := broker.Message{Channel: "chat", Data: []byte("hola"), Traceparent: c.want}
		if diff := cmp.Diff(want, broker.ParseWire("chat", []byte(wire)), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", c.name, diff)
		}
	}
}

// A trace is a field like any that a version does not know: one from before there were traces
// reads the same message, and what it writes has none.
func TestTracesAreSkipped(t *testing.T) {
	m := broker.Message{Channel: "chat", Data: []byte("\xFE"), By: &broker.Author{Subject: "u1"}, Traceparent: sampled}
	unknown := strings.Replace(string(broker.AppendWire(nil, m)), "t\x37", "T\x37", 1)
	m.Traceparent = ""
	if diff := cmp.Diff(m.Normalized(), broker.ParseWire("chat", []byte(unknown)), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("with a tag that is not known (-want +got):\n%s", diff)
	}
}

// A message outside a trace costs nothing for it, on the wire or in memory.
func TestNoTraceAllocatesNothing(t *testing.T) {
	m := broker.Message{Channel: "chat", Data: []byte("hola")}
	wire := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		wire = broker.AppendWire(wire[:0], m)
		_ = broker.ParseWire("chat", wire)
	}); n != 0 || string(wire) != "hola" {
		t.Errorf("%q with %v allocations", wire, n)
	}
}
