package broker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// A moody broker answers a publication with the error that stands for its text.
type moody struct {
	broker.Broker
	answers map[string]error
	heard   []string
}

func (m *moody) Publish(_ context.Context, msg broker.Message) (broker.Receipt, error) {
	m.heard = append(m.heard, string(msg.Data))
	return broker.Receipt{}, m.answers[string(msg.Data)]
}

// A moodyBatch is one with the capability.
type moodyBatch struct{ *moody }

func (m moodyBatch) PublishBatch(_ context.Context, messages []broker.Message) []broker.Result {
	m.heard = append(m.heard, fmt.Sprint(len(messages), " at once"))
	return make([]broker.Result, len(messages))
}

// Without the capability messages are published one after the other: a denial is
// one message's own, and what stands behind any other failure is not published.
func TestPublishAllFallsBack(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		after error // of the message behind it
		heard int
	}{
		{"accepted", nil, nil, 3},
		{"denied", broker.ErrDenied, nil, 3},
		{"unavailable", broker.ErrUnavailable, broker.ErrUnavailable, 2},
		{"uncertain", broker.ErrUncertain, broker.ErrUnavailable, 2},
		{"closed", broker.ErrClosed, broker.ErrUnavailable, 2},
		{"context", context.Canceled, broker.ErrUnavailable, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &moody{answers: map[string]error{"2": c.err}}
			results := broker.PublishAll(t.Context(), b, messages("1", "2", "3"))
			if len(results) != 3 || results[0].Err != nil || !errors.Is(results[1].Err, c.err) || !errors.Is(results[2].Err, c.after) {
				t.Errorf("results %v", results)
			}
			if len(b.heard) != c.heard {
				t.Errorf("published %q", b.heard)
			}
		})
	}
}

// The capability is used.
func TestPublishAllUsesTheCapability(t *testing.T) {
	b := moodyBatch{&moody{}}
	results := broker.PublishAll(t.Context(), b, messages("1", "2"))
	if len(results) != 2 || len(b.heard) != 1 || b.heard[0] != "2 at once" {
		t.Errorf("%d results, heard %q", len(results), b.heard)
	}
}

// A guard is a wrapper that allows one channel. It can be unwrapped.
type guard struct{ broker.Broker }

func (g guard) Unwrap() broker.Broker { return g.Broker }

func (g guard) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if m.Channel != "open" {
		return broker.Receipt{}, fmt.Errorf("test: %w", broker.ErrDenied)
	}
	return g.Broker.Publish(ctx, m)
}

// Nobody looks behind a wrapper: what it refuses is not published by a capability of
// the broker that it wraps, and a history that it does not hand on is not read.
func TestWrappersAreNotPassedBy(t *testing.T) {
	for _, inner := range []broker.Broker{moodyBatch{&moody{}}, memory.NewBusWithHistory(broker.Retention{MaxMessages: 1, MaxAge: time.Minute}).Broker()} {
		results := broker.PublishAll(t.Context(), guard{inner}, []broker.Message{{Channel: "open"}, {Channel: "shut"}})
		if results[0].Err != nil || !errors.Is(results[1].Err, broker.ErrDenied) {
			t.Errorf("through a guard: %v", results)
		}
		if _, ok := broker.HistoryOf(guard{inner}); ok {
			t.Error("a history is read behind a guard")
		}
	}
}

func messages(texts ...string) []broker.Message {
	var all []broker.Message
	for _, text := range texts {
		all = append(all, broker.Message{Channel: "chat", Data: []byte(text)})
	}
	return all
}
