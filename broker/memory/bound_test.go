package memory_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// All channels together keep no more than the bound. The oldest messages go first;
// a client behind them is told that they are gone, one that missed nothing goes on,
// and the log says once that the bound was reached.
func TestHistoryIsBounded(t *testing.T) {
	log := captureLog(t)
	const channels, size, bound = 100, 64 << 10, 1 << 20
	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: time.Hour})
	bus.LimitHistory(bound)
	b := bus.Broker()
	defer b.Close()
	h, _ := broker.HistoryOf(b)
	say := func(channel string) broker.Position {
		r, err := b.Publish(t.Context(), broker.Message{Channel: channel, Data: make([]byte, size), Binary: true, Key: "k" + channel})
		if err != nil || r.Repeated {
			t.Fatal(r, err)
		}
		return r.Position
	}
	var first, last []broker.Position
	for i := range channels {
		first = append(first, say(fmt.Sprint("c", i)))
		r, err := b.Publish(t.Context(), broker.Message{Channel: fmt.Sprint("c", i)})
		if err != nil {
			t.Fatal(err)
		}
		last = append(last, r.Position)
	}
	kept, oldest := 0, channels
	for i := range channels {
		c := fmt.Sprint("c", i)
		page, err := h.History(t.Context(), c, broker.Query{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range page.Messages {
			kept += len(m.Data)
			oldest = min(oldest, i)
		}
		if len(page.Messages) == 0 && i > oldest {
			t.Errorf("channel %d has lost what is newer than that of channel %d", i, oldest)
		}
		if behind, _ := h.History(t.Context(), c, broker.Query{After: first[i], Limit: 10}); behind.Complete != (len(page.Messages) > 0) {
			t.Errorf("channel %d keeps %d messages of two; behind the first: complete %v", i, len(page.Messages), behind.Complete)
		}
		if behind, _ := h.History(t.Context(), c, broker.Query{After: last[i], Limit: 10}); !behind.Complete {
			t.Errorf("channel %d: behind the newest message the history is not complete", i)
		}
	}
	if kept > bound || kept < bound/2 {
		t.Errorf("%d bytes are kept, with a bound of %d", kept, bound)
	}
	if next := say("c0"); !last[0].Next(next) { // the key is known no longer, the place still is
		t.Errorf("after %v comes %v", last[0], next)
	}
	if n := strings.Count(log.String(), "bound"); n != 1 {
		t.Errorf("the log tells of the bound %d times, want once:\n%s", n, log.String())
	}
}

// Channels without messages count, too. One that is forgotten begins a new epoch.
func TestChannelsAreBounded(t *testing.T) {
	captureLog(t)
	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour})
	bus.LimitHistory(64 << 10)
	b := bus.Broker()
	defer b.Close()
	h, _ := broker.HistoryOf(b)
	r, err := b.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte("1")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 1000 {
		if _, err := b.Publish(t.Context(), broker.Message{Channel: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if page, err := h.History(t.Context(), "c", broker.Query{After: r.Position, Limit: 1}); err != nil || page.Complete {
		t.Errorf("behind a message of a channel that is forgotten: %+v, %v", page, err)
	}
	again, err := b.Publish(t.Context(), broker.Message{Channel: "c"})
	if err != nil || again.Position.Epoch <= r.Position.Epoch {
		t.Errorf("after %v comes %v, %v", r.Position, again.Position, err)
	}
}

// captureLog makes the default logger write into the buffer for the time of the
// test.
func captureLog(t *testing.T) *bytes.Buffer {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	return &log
}
