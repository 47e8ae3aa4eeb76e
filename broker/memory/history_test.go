package memory_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// What is older than Age is gone, positions go on, and a channel that was idle for
// twice as long begins anew, in an epoch of its own.
func TestHistoryAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
		defer b.Close()
		h, _ := broker.HistoryOf(b)
		say := func(text, key string) broker.Receipt {
			t.Helper()
			r, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte(text), Key: key})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		read := func(after broker.Position) broker.Page {
			t.Helper()
			p, err := h.History(t.Context(), "c", broker.Query{After: after, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		first := say("1", "k").Position
		time.Sleep(40 * time.Second)
		second := say("2", "").Position
		if r := say("1 again", "k"); !r.Repeated || r.Position != first {
			t.Errorf("a key within Age: %+v", r)
		}
		time.Sleep(40 * time.Second)
		if p := read(first); !p.Complete || len(p.Messages) != 1 || p.Messages[0].Position != second {
			t.Errorf("behind what has just expired: %+v", p)
		}
		if r := say("3", "k"); r.Repeated || !second.Next(r.Position) {
			t.Errorf("a key beyond Age: %+v", r)
		}
		time.Sleep(10 * time.Minute)
		if r, err := b.Publish(t.Context(), broker.Message{Channel: "other"}); err != nil { // what is idle is swept
			t.Error(r, err)
		}
		again := say("4", "").Position
		if again.Epoch <= second.Epoch || again.Seq != 0 {
			t.Errorf("after a long silence %v comes after %v", again, second)
		}
		if p := read(second); p.Complete || len(p.Messages) != 1 {
			t.Errorf("behind a message of the epoch before: %+v", p)
		}
	})
}

// A channel that is kept goes on in its epoch, also when it has no message any more.
func TestKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker()
		defer b.Close()
		h, _ := broker.HistoryOf(b)
		var last broker.Position
		for i := range 10 {
			r, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: fmt.Append(nil, i)})
			if err != nil || i > 0 && !last.Next(r.Position) {
				t.Fatalf("%v after %v, %v", r.Position, last, err)
			}
			last = r.Position
			for range 5 {
				time.Sleep(time.Minute)
				if err := h.Keep(t.Context(), "c"); err != nil {
					t.Fatal(err)
				}
				if newest, err := h.Newest(t.Context(), "c"); err != nil || newest[0] != last {
					t.Fatal(newest, err)
				}
			}
		}
	})
}

// Feeds of all nodes that carry a channel are told that its history was cleared: behind
// what was published before, ahead of what comes next.
func TestClearIsTold(t *testing.T) {
	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute})
	here, there := bus.Broker(), bus.Broker()
	defer here.Close()
	defer there.Close()
	feed, err := there.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Subscribe(t.Context(), "c", "other"); err != nil {
		t.Fatal(err)
	}
	say := func(channel, text string) {
		t.Helper()
		if _, err := here.Publish(t.Context(), broker.Message{Channel: channel, Data: []byte(text)}); err != nil {
			t.Fatal(err)
		}
	}
	say("c", "1")
	say("not carried", "1")
	for _, c := range []string{"c", "c", "not carried", "other"} { // the second time there is nothing
		if err := here.(broker.Clearer).Clear(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	say("c", "2")
	var got []string
	for range 3 {
		m, err := feed.Next()
		var gap *broker.GapError
		if errors.As(err, &gap) {
			got = append(got, fmt.Sprint(gap.Reason, gap.Channels))
		} else {
			got = append(got, string(m.Data))
		}
	}
	if want := []string{"1", "cleared[c]", "2"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// Without a history reading one says so.
func TestNoHistory(t *testing.T) {
	b := memory.New()
	defer b.Close()
	h, ok := b.(broker.Historian)
	if !ok {
		t.Fatal("no Historian")
	}
	if _, err := h.History(t.Context(), "c", broker.Query{Limit: 1}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := h.Newest(t.Context(), "c"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := h.Keep(t.Context(), "c"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if _, err := b.(broker.Prober).Probe(t.Context(), broker.Message{Channel: "__c"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
	if err := b.(broker.Clearer).Clear(t.Context(), "c"); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(err)
	}
}
