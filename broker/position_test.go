package broker_test

import (
	"errors"
	"math"
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

func anyPosition(t *rapid.T) broker.Position {
	return broker.Position{Epoch: rapid.Uint64Min(1).Draw(t, "epoch"), Seq: rapid.Uint64().Draw(t, "seq")}
}

// A position comes back from its text, and what is none is an error.
func TestPositionText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPosition(t)
		if got, err := broker.ParsePosition(p.String()); err != nil || got != p {
			t.Fatalf("%v came back as %v, %v", p, got, err)
		}
	})
	for _, text := range []string{"", "-", "1", "1-", "-1", "0-1", "1-2-3", "+1-2", "1--2", " 1-2", "18446744073709551616-0", "a-b"} {
		if p, err := broker.ParsePosition(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
}

// Next, Before and Compare agree, within an epoch and across.
func TestPositionOrder(t *testing.T) {
	a, b, c, d := broker.Position{Epoch: 1, Seq: 1}, broker.Position{Epoch: 1, Seq: 2}, broker.Position{Epoch: 1, Seq: 9}, broker.Position{Epoch: 2}
	for _, pair := range []struct {
		p, q         broker.Position
		next, before bool
		compare      int
	}{
		{a, a, false, false, 0}, {a, b, true, true, -1}, {a, c, false, true, -1}, {b, a, false, false, 1}, {c, d, false, false, -1}, {d, a, false, false, 1},
	} {
		if pair.p.Next(pair.q) != pair.next || pair.p.Before(pair.q) != pair.before || pair.p.Compare(pair.q) != pair.compare {
			t.Errorf("%v and %v", pair.p, pair.q)
		}
	}
	if !(broker.Position{}).IsZero() || a.IsZero() {
		t.Error("IsZero")
	}
}

// A message with a position comes back from the wire, and its fields without one.
func TestWireWithPosition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := broker.Message{Channel: "c", Data: rapid.SliceOf(rapid.Byte()).Draw(t, "data"), Binary: rapid.Bool().Draw(t, "binary"), Position: anyPosition(t)}
		want := m.Normalized()
		if diff := cmp.Diff(want, broker.ParseWire("c", broker.AppendWire(nil, m))); diff != "" {
			t.Fatal(diff)
		}
		want.Position = broker.Position{}
		got, ok := broker.ParseFields("c", broker.AppendFields(nil, m))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Fatal(ok, diff)
		}
	})
	if m := broker.ParseWire("c", []byte("\xFFpg1p\x03x-yd1")); string(m.Data) != "1" || !m.Position.IsZero() {
		t.Errorf("a position that makes no sense: %+v", m)
	}
}

// Either parameter turns history on, and what makes no sense is a bad URL.
func TestParseRetention(t *testing.T) {
	for query, want := range map[string]broker.Retention{
		"":                                {},
		"history=1s":                      {MaxMessages: 1000, MaxAge: time.Second},
		"history-size=7":                  {MaxMessages: 7, MaxAge: 5 * time.Minute},
		"history=720h&history-size=1":     {MaxMessages: 1, MaxAge: 720 * time.Hour},
		"history=5m&history-size=1000000": {MaxMessages: 1_000_000, MaxAge: 5 * time.Minute},
	} {
		u := &url.URL{Scheme: "x", RawQuery: query}
		if got, err := broker.ParseRetention(u); err != nil || got != want {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
	for _, query := range []string{"history=", "history=5", "history=-5m", "history=999ms", "history=721h", "history-size=", "history-size=0", "history-size=-1", "history-size=1000001", "history-size=1e3"} {
		if got, err := broker.ParseRetention(&url.URL{Scheme: "x", RawQuery: query}); !errors.Is(err, broker.ErrURL) {
			t.Errorf("%q: %+v, %v", query, got, err)
		}
	}
}

// A message follows the one that it names, and the one with the number before its own;
// all else is a hole or has come before.
func TestFollows(t *testing.T) {
	at := func(epoch, seq uint64) broker.Position { return broker.Position{Epoch: epoch, Seq: seq} }
	var none broker.Position
	for _, c := range []struct {
		last, prev, position broker.Position
		want                 bool
	}{
		{none, none, at(7, 0), true},
		{none, none, at(7, 41), true}, // an epoch begins anywhere
		{none, at(7, 40), at(7, 41), false},
		{none, broker.PrevUnknown, at(7, 41), false},
		{at(7, 40), at(7, 40), at(7, 50), true},
		{at(7, 40), at(7, 45), at(7, 50), false},
		{at(7, 40), broker.PrevUnknown, at(7, 50), false},
		{at(7, 40), broker.PrevUnknown, at(7, 41), true}, // there is no number between
		{at(7, 40), none, at(8, 0), false},               // the end of epoch 7 may be lost
		{at(7, 40), at(7, 39), at(7, 40), false},
		{at(7, math.MaxUint64), none, at(8, 0), false},
		{at(7, math.MaxUint64), broker.PrevUnknown, at(7, 0), false},
	} {
		if got := (broker.Message{Position: c.position, Prev: c.prev}).Follows(c.last); got != c.want {
			t.Errorf("%v behind %v, with %v before it: follows %v", c.position, c.last, c.prev, got)
		}
	}
}

// In an epoch that is numbered from 0 without holes, each follows the number before.
func TestPrevious(t *testing.T) {
	last := broker.Position{}
	for seq := range uint64(3) {
		p := broker.Position{Epoch: 7, Seq: seq}
		if p.Previous() != last {
			t.Errorf("before %v is %v, want %v", p, p.Previous(), last)
		}
		last = p
	}
}

// A broker that could keep a history and keeps none is no Historian.
func TestHistoryOf(t *testing.T) {
	if _, ok := broker.HistoryOf(memory.New()); ok {
		t.Error("a broker without retention")
	}
	if _, ok := broker.HistoryOf(memory.NewBusWithHistory(broker.Retention{MaxMessages: 1, MaxAge: time.Minute}).Broker()); !ok {
		t.Error("a broker with retention")
	}
}
