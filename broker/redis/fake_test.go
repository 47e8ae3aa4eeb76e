package redis_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
)

// options are for servers that answer: nothing in them gets in the way of a busy
// machine.
func options(addr string) redis.Options {
	return redis.Options{
		Addr:        addr,
		DialTimeout: 10 * time.Second,
		Timeout:     10 * time.Second,
		Heartbeat:   10 * time.Second,
		Logger:      slog.New(slog.DiscardHandler),
	}
}

// impatient options are for tests in which something does not answer.
func impatient(addr string) redis.Options {
	o := options(addr)
	o.DialTimeout, o.Timeout, o.Heartbeat = time.Second, time.Second, 500*time.Millisecond
	return o
}

func newBroker(t testing.TB, o redis.Options) *redis.Broker {
	t.Helper()
	b, err := redis.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func newFeed(t testing.TB, b broker.Broker, channels ...string) broker.Feed {
	t.Helper()
	f, err := b.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Subscribe(guard(t), channels...); err != nil {
		t.Fatal(err)
	}
	return f
}

// guard bounds what should never take long, so that a failure is not a hang.
func guard(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func publish(t testing.TB, b broker.Broker, channel, text string) {
	t.Helper()
	if _, err := b.Publish(guard(t), broker.Message{Channel: channel, Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
}

// next is f.Next with a guard: the Feed is closed where nothing comes.
func next(t testing.TB, f broker.Feed) (broker.Message, error) {
	t.Helper()
	stop := context.AfterFunc(guard(t), func() { f.Close() })
	defer stop()
	return f.Next()
}

// hear fails the test unless the next of f is text in channel.
func hear(t testing.TB, f broker.Feed, channel, text string) {
	t.Helper()
	m, err := next(t, f)
	if err != nil || m.Channel != channel || string(m.Data) != text {
		t.Fatalf("Next returned %q in %q, %v; want %q in %q", m.Data, m.Channel, err, text, channel)
	}
}

// hearGap fails the test unless the next of f are gaps, for a lost link, of
// exactly these channels.
func hearGap(t testing.TB, f broker.Feed, channels ...string) {
	t.Helper()
	missing := map[string]broker.GapReason{}
	for _, c := range channels {
		missing[c] = broker.LinkLost
	}
	hearGaps(t, f, missing)
}

// hearGaps wants one gap of each channel, with its reason, and nothing else.
func hearGaps(t testing.TB, f broker.Feed, missing map[string]broker.GapReason) {
	t.Helper()
	for len(missing) > 0 {
		m, err := next(t, f)
		gap, ok := err.(*broker.GapError)
		if !ok {
			t.Fatalf("Next returned %q, %v; want a gap, of %d more channels", m.Data, err, len(missing))
		}
		for _, c := range gap.Channels {
			if missing[c] != gap.Reason {
				t.Fatalf("there is a gap %s of %q, want %q", gap.Reason, c, missing[c])
			}
			delete(missing, c)
		}
	}
}
