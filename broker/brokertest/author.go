package brokertest

import (
	"fmt"
	"strings"

	"github.com/pregon/pregon/broker"
)

// authors are those of the messages in the cases about authors. Some messages have none, so
// that a driver that takes it from another message is found out.
func authors() []*broker.Author {
	return []*broker.Author{
		{Subject: "u1", Session: "s1"},
		nil,
		{Subject: "ana@example.com"},
		{Session: "s2"},
		nil,
		{Subject: "señal \"x\"\x00\r\n"},
		{Subject: strings.Repeat("u", broker.MaxSubject), Session: strings.Repeat("s", broker.MaxSession)},
		{Subject: strings.Repeat("é", broker.MaxSubject/2)},
		nil,
	}
}

// unnamed are authors that name nobody.
func unnamed() []*broker.Author {
	return []*broker.Author{
		{},
		{Subject: strings.Repeat("u", broker.MaxSubject+1)},
		{Subject: "u1", Session: strings.Repeat("s", broker.MaxSession+1)},
		{Subject: "ni\xC3"},
	}
}

// A signed is a message with its author.
type signed struct {
	m  broker.Message
	by *broker.Author // as it must arrive
}

// sign publishes a message of each author, text and binary, by node to a channel.
func (f *fixture) sign(node broker.Broker, channel string) (all []signed) {
	f.Helper()
	add := func(by, want *broker.Author) {
		for _, binary := range []bool{false, true} {
			all = append(all, signed{broker.Message{Channel: channel, Data: []byte("¡Hola!"), Binary: binary, By: by}, want})
		}
	}
	for _, by := range authors() {
		add(by, by)
	}
	for _, by := range unnamed() {
		add(by, nil)
	}
	for _, s := range all {
		if _, err := node.Publish(f.Context(), s.m); err != nil {
			f.Fatalf("publishing by %s: %v", name(s.m.By), err)
		}
	}
	return all
}

// arrived checks a message that was heard, or read.
func (f *fixture) arrived(how string, m broker.Message, want signed) {
	f.Helper()
	if string(m.Data) != string(want.m.Data) || m.Binary != want.m.Binary {
		f.Fatalf("%s: a message by %s is %q, binary %v; want %q, %v", how, name(want.m.By), m.Data, m.Binary, want.m.Data, want.m.Binary)
	}
	if (m.By == nil) != (want.by == nil) || m.By != nil && *m.By != *want.by {
		f.Fatalf("%s: a message by %s is by %s, want %s", how, name(want.m.By), name(m.By), name(want.by))
	}
}

func testAuthors(f *fixture) {
	node, other := f.node(), f.node()
	r := f.read(f.feed(other, "c"))
	for _, want := range f.sign(node, "c") {
		f.arrived("heard", r.message(), want)
	}
}

func testHistoryAuthors(f *fixture) {
	p, other := f.past(), f.past()
	first := p.keep("c", "first")
	all := f.sign(p.node, "c")
	kept := other.behind("c", first, 5)
	if len(kept) != len(all) {
		f.Fatalf("of %d messages %d are kept", len(all), len(kept))
	}
	for i, want := range all {
		f.arrived("kept", kept[i], want)
	}
}

// name is what a failure calls an author.
func name(a *broker.Author) string {
	if a == nil {
		return "nobody"
	}
	return fmt.Sprintf("%.20q in session %.20q", a.Subject, a.Session)
}
