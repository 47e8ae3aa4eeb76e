package brokertest

import (
	"bytes"
	"context"
	"math/rand/v2"
	"strings"

	"github.com/pregon/pregon/broker"
)

// A payload may be published as text or as binary.
type payload struct {
	name string
	data []byte
}

func payloads() []payload {
	noise := make([]byte, 1<<20)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	binary := broker.Message{Data: []byte("inner"), Binary: true}
	return []payload{
		{"nil", nil},
		{"empty", []byte{}},
		{"one word", []byte("hola")},
		{"unicode", []byte("¡Hola, señor! 你好 \U0001F4E3")},
		{"JSON", []byte(`{"a":[1,2,"\u0000"]}`)},
		{"line ends", []byte("\r\n one\rtwo\nthree \r\n\r\n")},
		{"spaces", []byte("  ")},
		{"NUL", []byte("\x00")},
		{"NUL in text", []byte("before\x00after")},
		{"byte order mark", []byte("\uFEFFtext")},
		{"all bytes", all},
		{"cut UTF-8", []byte("ni\xC3")},
		{"surrogate", []byte("\xED\xA0\x80")},
		{"the byte FF", []byte("\xFF")},
		{"magic", []byte("\xFFpg1")},
		{"magic and payload field", []byte("\xFFpg1dtext")},
		{"magic and cut field", []byte("\xFFpg1b\x05")},
		{"an envelope", broker.AppendWire(nil, binary)},
		{"an envelope in an envelope", broker.AppendWire(nil, broker.Message{Data: broker.AppendWire(nil, binary), Binary: true})},
		{"1 MiB of text", []byte(strings.Repeat("pregón, ", 1<<20/9))},
		{"1 MiB of noise", noise},
	}
}

// All messages are heard before the first is looked at: a driver that uses
// memory again that it has delivered is found out.
func testPayloads(f *fixture) {
	node, other := f.node(), f.node()
	r := f.read(f.feed(node, "chat"))
	var sent, want, got []broker.Message
	var names []string
	for _, p := range payloads() {
		for _, binary := range []bool{false, true} {
			m := broker.Message{Channel: "chat", Data: p.data, Binary: binary}
			sent, names = append(sent, m), append(names, p.name)
			m.Data = bytes.Clone(p.data)
			want = append(want, m.Normalized())
		}
	}
	for i, m := range sent {
		ctx, cancel := context.WithTimeout(f.Context(), guard)
		_, err := other.Publish(ctx, m)
		cancel()
		if err != nil {
			f.Fatalf("Publish of %s: %v", names[i], err)
		}
	}
	for range sent {
		got = append(got, r.message())
	}
	for i := range want {
		if got[i].Channel != "chat" || got[i].Binary != want[i].Binary {
			f.Errorf("%s, Binary %t: heard in %q with Binary %t, want %t",
				names[i], sent[i].Binary, got[i].Channel, got[i].Binary, want[i].Binary)
		}
		if !bytes.Equal(got[i].Data, want[i].Data) {
			f.Errorf("%s, Binary %t: heard %d bytes %.40q, want %d bytes %.40q",
				names[i], sent[i].Binary, len(got[i].Data), got[i].Data, len(want[i].Data), want[i].Data)
		}
		if !bytes.Equal(sent[i].Data, want[i].Data) {
			f.Errorf("%s, Binary %t: the publisher's bytes were changed", names[i], sent[i].Binary)
		}
	}
}

var oddNames = []string{
	"a", "A", " ", " a", "a ", "two words", "tab\there",
	"a/b", "/", "/a/", "..", "a.b", "a:b", "a;b", "a,b", "a+b", "a&b=c", "a#b", "%61", "%", "$SYS", "@", "-",
	"*", "a*", "?", "[a]", "[^a]", "{a}", "{a}b", `\`, `\*`, ">", "a.>", "a.*", "|",
	`"quoted"`, "'quoted'", "`quoted`", "señal", "频道", "\U0001F4E3", "e\u0301", "é",
	"__proto__", "__reserved", "null", "0", "-1",
	"line\nend", "line\r\nend", "\x00", "a\x00b", "\u200b", "\xFF", "\xFFpg1", "ni\xC3",
	strings.Repeat("x", broker.MaxChannel), strings.Repeat("é", broker.MaxChannel/2),
}

func testChannelNames(f *fixture) {
	node, other := f.node(), f.node()
	feed := f.feed(node, oddNames...)
	r := f.read(feed)
	var all []said
	for _, name := range oddNames {
		all = append(all, f.say(other, name, "to "+name))
	}
	r.hear(all...)
	for _, name := range oddNames[1:] {
		f.remove(feed, name)
		f.say(other, name, "removed "+name)
	}
	r.hear(f.say(other, oddNames[0], "end"))
}

func testOtherChannels(f *fixture) {
	node, other := f.node(), f.node()
	literal := f.read(f.feed(node, "news"))
	patterns := []string{"*", "n*", "new?", "[n]ews", "{news}", "news|chat", ".*", "#", "+", ">", "news.>"}
	globs := f.read(f.feed(node, patterns...))
	for _, name := range []string{"New", "NEWS", "new", "newss", "news ", " news", "news/", "news/a", "n", "news\x00", "news\n", "chat"} {
		f.say(other, name, "for others")
	}
	literal.hear(f.say(other, "news", "end"))
	var all []said
	for _, name := range patterns {
		all = append(all, f.say(other, name, "to "+name))
	}
	globs.hear(all...)
	literal.hear(f.say(other, "news", "end of all"))
}
