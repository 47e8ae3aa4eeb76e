package brokertest

import (
	"context"
	"fmt"
	"time"

	"github.com/pregon/pregon/broker"
)

// maxBrief is the longest Age of a history for the case that waits for several.
const maxBrief = 2 * time.Second

// testHistoryProlonged calls Keep for much longer than Age. A
// machine that is late proves nothing; then it begins again.
func testHistoryProlonged(f *fixture) {
	p := f.past()
	age := p.kept.Retention().MaxAge
	if age > maxBrief {
		f.Fatalf("the history is too long for this test: %v", age)
	}
	for i := range 10 {
		if p.prolong(fmt.Sprint("c", i), age) {
			return
		}
	}
	f.Fatalf("the machine is too slow for this test")
}

// prolong reports false where it was late.
func (p past) prolong(channel string, age time.Duration) bool {
	p.Helper()
	used := time.Now() // the latest time at which the channel may have been used last
	first := p.keep(channel, "1")
	for began := used; time.Since(began) < 6*age; {
		<-time.After(age / 4)
		now := time.Now()
		p.prolongOnce(channel)
		if time.Since(used) > age/2 {
			return false
		}
		used = now
	}
	second := p.keep(channel, "2")
	if time.Since(used) > age/2 {
		return false
	}
	if got := p.rest(channel, first, 10); len(got) != 1 {
		p.Fatalf("although Keep was called all the time, %v is at the end, and behind %v are %d messages", second, first, len(got))
	}
	return true
}

func (p past) prolongOnce(channels ...string) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	if err := p.kept.Keep(ctx, channels...); err != nil {
		p.Fatalf("Keep: %v", err)
	}
}

// newest returns the newest position of a channel.
func (p past) newest(channel string) broker.Position {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), guard)
	defer cancel()
	newest, err := p.kept.Newest(ctx, channel)
	if err != nil || len(newest) != 1 {
		p.Fatalf("Newest of one channel: %v, %v", newest, err)
	}
	return newest[0]
}
