package transporttest

import (
	"crypto/rand"
	"strings"

	"github.com/pregon/pregon/transport"
)

func testGaps(f *fixture) {
	p, other := f.dial(live("a", "b")), f.dial(live("b"))
	f.publish("a", "1")
	p.hears("a", "1")
	f.publish("a", lost)
	f.publish("a", "2")
	f.publish("b", "3")
	other.hears("b", "3") // another channel's gap does not concern it
	e, err := p.next()
	if err != nil {
		p.ended(err, transport.CloseGap)
		return
	}
	p.check(e)
	if e.Kind != Gap || e.Channel != "" && e.Channel != "a" {
		f.Fatalf("heard %s of %q, not that a message of %q may be missing", e, e.Channel, "a")
	}
	p.hearsBoth("2", "3")
}

// hearsBoth reads two messages of different channels, in any order.
func (p *peer) hearsBoth(one, other string) {
	p.f.Helper()
	first, second := p.event(), p.event()
	if got := string(first.Data); got == other {
		first, second = second, first
	}
	if first.Kind != Message || second.Kind != Message || string(first.Data) != one || string(second.Data) != other {
		p.f.Errorf("heard %s and %s, not %q and %q", first, second, one, other)
	}
}

func testDenied(f *fixture) {
	p := f.dial(live("a"))
	f.publish("a", "1")
	f.publish("a", denied)
	f.publish("a", "2")
	p.hears("a", "1")
	e, err := p.next()
	if err == nil {
		if e.Kind != Gap {
			f.Fatalf("heard %s, not that the channel is no longer allowed", e)
		}
		e, err = p.next()
	}
	if err == nil {
		f.Fatalf("heard %s of a channel that is no longer allowed", e)
	}
	p.ended(err, transport.CloseDenied)
}

func testSlowClosed(f *fixture) {
	slow := f.dial(live("a"))
	f.overfeed(func() bool { return f.hub.Stats().Disconnected > 0 })
	for _, text := range f.fed {
		e, err := slow.next()
		if err != nil {
			slow.ended(err, transport.CloseSlow)
			return
		}
		if !begins(e, text) {
			f.Fatalf("heard %s, not the message that begins with %q", e, text)
		}
	}
	f.Error("a client that was disconnected has heard everything")
}

func testSlowTold(f *fixture) {
	slow := f.dial(live("a"))
	f.overfeed(func() bool { s := f.hub.Stats(); return s.Disconnected+s.Dropped > 0 })
	f.publish("a", "last")
	told := false
	texts := f.fed
	for {
		e, err := slow.next()
		if err != nil {
			slow.ended(err, transport.CloseSlow)
			return
		}
		if e.Kind == Gap {
			told = true
			continue
		}
		if string(e.Data) == "last" {
			break
		}
		for len(texts) > 0 && !begins(e, texts[0]) {
			if !told {
				f.Fatalf("heard %s, and nothing of what is missing before it, from %q on", e, texts[0])
			}
			texts = texts[1:]
		}
		if len(texts) == 0 {
			f.Fatalf("heard %s for a second time, or out of order", e)
		}
		texts, told = texts[1:], false
	}
	if len(texts) > 0 && !told {
		f.Errorf("heard the last message, and nothing of what is missing before it, from %q on", texts[0])
	}
}

// begins reports whether e is the message that begins with text.
func begins(e Event, text string) bool {
	return e.Kind == Message && len(e.Data) >= len(text) && string(e.Data[:len(text)]) == text
}

// Messages that are to be too much for a client that does not read.
const (
	feedSize = 64 << 10 // bytes of each
	feedMost = 200
)

// noise returns a text of n letters that no compression makes much shorter.
func noise(n int) string {
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(rand.Text())
	}
	return b.String()
}

// overfeed publishes to channel a until enough is true, at the pace of a client that
// reads.
func (f *fixture) overfeed(enough func() bool) {
	f.Helper()
	reads, rest := f.dial(live("a")), noise(feedSize)
	for _, head := range numbers("a ", feedMost) {
		head += " "
		text := head + rest
		f.publish("a", text)
		reads.hears("a", text)
		f.fed = append(f.fed, head)
		if enough() {
			return
		}
	}
	f.Fatalf("%d MiB wait for a client that does not read", feedMost*feedSize>>20)
}
