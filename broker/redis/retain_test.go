package redis_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// longLived is said of one channel.
func longLived(channel string) broker.Retention {
	if channel == "long" {
		return broker.Retention{MaxMessages: 3000, MaxAge: time.Hour}
	}
	return broker.Retention{}
}

// Streams of nodes, and those of other programs that publish by the script, are kept as long
// as was said: of those programs, who know no rules, as the longest.
func TestRetainOnRedis(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := newBroker(t, keeping(server.Addr()))
	lives := func(channel string, least, most time.Duration) {
		t.Helper()
		var ms int64
		fmt.Sscan(server.MustDo("PTTL", "__pregon:h:"+channel), &ms)
		if left := time.Duration(ms) * time.Millisecond; left < least || left > most {
			t.Errorf("the stream of %s lives for another %v, want %v to %v", channel, left, least, most)
		}
	}
	first := keep(t, b, "long", "x")
	lives("long", time.Minute, 2*time.Minute)
	b.Retain(broker.Retention{MaxMessages: 3000, MaxAge: time.Hour}, longLived)
	if next := keep(t, b, "long", "x"); !first.Next(next) {
		t.Errorf("after %v comes %v", first, next)
	}
	keep(t, b, "other", "x")
	server.MustDo("FCALL", "pregon_publish", "1", "theirs", "x")
	lives("long", time.Hour, 2*time.Hour)
	lives("other", time.Minute, 2*time.Minute)
	lives("theirs", time.Hour, 2*time.Hour)
	b.Retain(broker.Retention{}, nil)
	keep(t, b, "long", "x")
	lives("long", time.Minute, 2*time.Minute)
	server.MustDo("FCALL", "pregon_publish", "1", "theirs", "x")
	lives("theirs", time.Minute, 2*time.Minute)
	if page := history(t, b, "long", first, 10); !page.Complete || len(page.Messages) != 2 {
		t.Errorf("behind the first there are %d messages, complete %v", len(page.Messages), page.Complete)
	}
}

// While messages are published and read, what is kept is said anew again and again: every
// message is heard once, in order, and what is kept is in one epoch.
func TestRetainUnderLoad(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, o redis.Options) {
		b := newBroker(t, o)
		feed, err := b.Feed(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := feed.Subscribe(guard(t), "long", "other"); err != nil {
			t.Fatal(err)
		}
		const each = 500
		var load sync.WaitGroup
		for _, channel := range []string{"long", "other"} {
			load.Go(func() {
				for i := range each {
					if _, err := b.Publish(t.Context(), broker.Message{Channel: channel, Data: fmt.Append(nil, i)}); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		load.Go(func() {
			for i := range 100 {
				b.Retain(broker.Retention{MaxMessages: 1000 + 500*(i%5), MaxAge: time.Hour}, longLived)
				if err := b.Keep(t.Context(), "long", "other"); err != nil {
					t.Error(err)
				}
			}
		})
		load.Wait()
		heard := map[string][]broker.Message{}
		for range 2 * each {
			m, err := feed.Next()
			if err != nil {
				t.Fatal(err)
			}
			heard[m.Channel] = append(heard[m.Channel], m)
		}
		for channel, messages := range heard {
			for i, m := range messages {
				if string(m.Data) != fmt.Sprint(i) || i > 0 && !m.Follows(messages[i-1].Position) {
					t.Fatalf("message %d in %s is %q at %v, behind %v", i, channel, m.Data, m.Position, m.Prev)
				}
			}
			if page := history(t, b, channel, messages[0].Position, each); !page.Complete || len(page.Messages) != each-1 {
				t.Errorf("in %s are %d messages, complete %v", channel, len(page.Messages), page.Complete)
			}
		}
	})
}

// A driver without history is no worse for being told what to keep.
func TestRetainWithoutHistory(t *testing.T) {
	t.Parallel()
	b := newBroker(t, options(redistest.Start(t).Addr()))
	b.Retain(broker.Retention{MaxMessages: 3000, MaxAge: time.Hour}, longLived)
	if r, err := b.Publish(guard(t), broker.Message{Channel: "long"}); err != nil || !r.Position.IsZero() || !b.Retention().IsZero() {
		t.Errorf("Publish returned %+v, %v; kept is %+v", r, err, b.Retention())
	}
}
