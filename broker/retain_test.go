package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
)

// What is said of a channel counts within its bounds, member by member; of the rest, and of
// pregon's own channels, the driver's own setting does.
func TestRetentionPolicy(t *testing.T) {
	common := broker.Retention{MaxMessages: 1000, MaxAge: 5 * time.Minute}
	longest := broker.Retention{MaxMessages: 5000, MaxAge: time.Hour}
	for _, test := range []struct {
		name       string
		said, want broker.Retention
	}{
		{"all", broker.Retention{MaxMessages: 20, MaxAge: time.Minute}, broker.Retention{MaxMessages: 20, MaxAge: time.Minute}},
		{"nothing", broker.Retention{}, common},
		{"messages alone", broker.Retention{MaxMessages: 20}, broker.Retention{MaxMessages: 20, MaxAge: common.MaxAge}},
		{"time alone", broker.Retention{MaxAge: time.Minute}, broker.Retention{MaxMessages: common.MaxMessages, MaxAge: time.Minute}},
		{"the longest", longest, longest},
		{"more than the longest", broker.Retention{MaxMessages: 5001, MaxAge: 2 * time.Hour}, longest},
		{"the shortest", broker.Retention{MaxMessages: 1, MaxAge: broker.MinHistory}, broker.Retention{MaxMessages: 1, MaxAge: broker.MinHistory}},
		{"less than the shortest", broker.Retention{MaxMessages: -1, MaxAge: time.Millisecond}, broker.Retention{MaxMessages: 1, MaxAge: broker.MinHistory}},
	} {
		p := broker.NewRetentionPolicy(common, longest, func(string) broker.Retention { return test.said })
		if got := p.Of("chat"); got != test.want {
			t.Errorf("%s: of a channel is kept %+v, want %+v", test.name, got, test.want)
		}
		if got := p.Of(broker.ReservedPrefix + "chat"); got != common {
			t.Errorf("%s: of a channel of pregon's own is kept %+v, want %+v", test.name, got, common)
		}
	}
	p := broker.NewRetentionPolicy(common, longest, func(channel string) broker.Retention { return broker.Retention{MaxMessages: len(channel)} })
	if a, b := p.Of("a"), p.Of(strings.Repeat("b", 30)); a.MaxMessages != 1 || b.MaxMessages != 30 {
		t.Errorf("each channel has its own: %+v, %+v", a, b)
	}
}

// The longest is at least what is kept of all channels before anything is said, and no more
// than what a URL may ask for. Without a function that is said of every channel.
func TestRetentionPolicyLongest(t *testing.T) {
	common := broker.Retention{MaxMessages: 1000, MaxAge: 5 * time.Minute}
	for _, test := range []struct{ said, want broker.Retention }{
		{broker.Retention{}, common},
		{broker.Retention{MaxMessages: 20, MaxAge: time.Hour}, broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}},
		{broker.Retention{MaxMessages: 2000, MaxAge: time.Second}, broker.Retention{MaxMessages: 2000, MaxAge: common.MaxAge}},
		{broker.Retention{MaxMessages: 1 << 30, MaxAge: 1 << 60}, broker.Retention{MaxMessages: broker.MaxHistorySize, MaxAge: broker.MaxHistory}},
	} {
		p := broker.NewRetentionPolicy(common, test.said, nil)
		if got := p.Longest(); got != test.want {
			t.Errorf("%+v: the longest is %+v, want %+v", test.said, got, test.want)
		}
		if got := p.Of("chat"); got != common {
			t.Errorf("%+v: without a function %+v is kept, want %+v", test.said, got, common)
		}
	}
}

// A channel is remembered for its own time, and at least for as long as one that is kept as
// often as the setting of all channels demands, up to once in half a minute.
func TestRetentionPolicyLife(t *testing.T) {
	for _, test := range []struct{ common, own, want time.Duration }{
		{5 * time.Minute, 5 * time.Minute, 5 * time.Minute},
		{5 * time.Minute, time.Hour, time.Hour},
		{5 * time.Minute, 2 * time.Minute, 2 * time.Minute},
		{5 * time.Minute, time.Second, broker.LeastLife},
		{10 * time.Second, time.Second, 10 * time.Second},
		{time.Second, time.Minute, time.Minute},
		{time.Hour, 90 * time.Second, 90 * time.Second},
	} {
		p := broker.NewRetentionPolicy(broker.Retention{MaxMessages: 1, MaxAge: test.common}, broker.Retention{}, nil)
		if got := p.Life(broker.Retention{MaxMessages: 1, MaxAge: test.own}); got != test.want {
			t.Errorf("where all have %v, one that has %v lives for %v, want %v", test.common, test.own, got, test.want)
		}
	}
}
