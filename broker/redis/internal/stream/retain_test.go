package stream_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/seal"
)

// byName is what is kept of two channels that differ from all others.
func byName(channel string) broker.Retention {
	return map[string]broker.Retention{
		"long":  {MaxMessages: 5000, MaxAge: 3 * time.Hour},
		"short": {MaxMessages: 7, MaxAge: time.Second},
	}[channel]
}

var longest = broker.Retention{MaxMessages: 5000, MaxAge: 3 * time.Hour}

// ms is how a lifetime is said to Redis.
func ms(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }

// What is said of a channel is how many entries its stream keeps, and for how long that, the
// markers of its keys and what Keep prolongs live. A short life is no shorter than callers of
// Keep need, who do not know it.
func TestRetain(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	n.Retain(longest, byName)
	for _, test := range []struct {
		channel, most, lives string
	}{
		{"long", "5000", ms(6 * time.Hour)},
		{"short", "7", ms(2 * broker.LeastLife)},
		{"other", "100", ms(2 * retention.MaxAge)},
	} {
		n.Publish(t.Context(), nil, []broker.Message{{Channel: test.channel, Data: []byte("x"), Key: "k"}})
		if err := n.Keep(t.Context(), test.channel); err != nil {
			t.Fatal(err)
		}
		sent := s.Commands("evalsha")
		if most := sent[len(sent)-1][7]; most != test.most {
			t.Errorf("of %s %s entries are kept, want %s", test.channel, most, test.most)
		}
		said := s.Commands("pexpire")
		for _, args := range said[len(said)-3:] { // of the marker, of the stream, and by Keep
			if args[2] != test.lives {
				t.Errorf("%s lives for %s ms, want %s", args[1], args[2], test.lives)
			}
		}
		set := s.Commands("set")
		if lives := set[len(set)-1][4]; lives != test.lives {
			t.Errorf("the marker of a key in %s lives for %s ms, want %s", test.channel, lives, test.lives)
		}
	}
}

// The record has the longest, for those that know no rules. The server is asked again only
// where that has changed, and with the next publication.
func TestRetainRecord(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	for i, step := range []struct {
		longest broker.Retention
		asked   int
		record  string // most entries and lifetime
	}{
		{broker.Retention{}, 1, "100 " + ms(2*retention.MaxAge)},
		{longest, 2, "5000 " + ms(6*time.Hour)},
		{longest, 2, "5000 " + ms(6*time.Hour)},
		{broker.Retention{MaxMessages: 1}, 3, "100 " + ms(2*retention.MaxAge)},
		{broker.Retention{}, 3, "100 " + ms(2*retention.MaxAge)},
	} {
		n.Retain(step.longest, byName)
		for range 3 {
			n.keep(t, "chat", "x")
		}
		evals := s.Commands("eval")
		last := evals[len(evals)-1]
		keys, _ := strconv.Atoi(last[2])
		if record := strings.Join(last[keys+8:keys+10], " "); len(evals) != step.asked || record != step.record {
			t.Errorf("step %d: asked %d times, and told %q; want %d, %q", i, len(evals), record, step.asked, step.record)
		}
	}
}

// After something else was said, each stream is told anew when to expire, with the next
// message.
func TestRetainTellsStreams(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	for _, lives := range []time.Duration{2 * retention.MaxAge, 6 * time.Hour, 2 * retention.MaxAge} {
		before := len(s.Commands("pexpire"))
		for range 3 {
			n.keep(t, "long", "x")
		}
		told := s.Commands("pexpire")[before:]
		if len(told) != 1 || !slices.Equal(told[0][1:], []string{"__pregon:h:long", ms(lives)}) {
			t.Errorf("told was %q, want once %s", told, ms(lives))
		}
		if lives == 2*retention.MaxAge {
			n.Retain(longest, byName)
		} else {
			n.Retain(longest, nil)
		}
	}
}

// Whether a witness may have expired goes by what is kept of its channel.
func TestRetainedWitness(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	n.Retain(longest, byName)
	seen := time.Now().Add(-90 * time.Minute)
	for _, channel := range []string{"long", "short", "other"} {
		n.heard = append(n.heard, seal.Witness{Channel: channel, Sealed: seal.Sealed{Position: broker.Position{Epoch: 5, Seq: 6}, Fields: []byte("dx")}, Seen: seen})
	}
	if err := n.Meet(t.Context()); err != nil {
		t.Fatal(err)
	}
	const before = 3 + 1 + 7 // see TestWitnesses
	eval := s.Commands("eval")[0]
	var expired []string
	for i := range n.heard {
		expired = append(expired, eval[before+3+5*i+4])
	}
	if want := []string{"0", "1", "1"}; !slices.Equal(expired, want) {
		t.Errorf("after an hour and a half, they may have expired: %q, want %q", expired, want)
	}
}

// A node that publishes to more channels than it remembers tells each what is kept of it all
// the same.
func TestRetainManyChannels(t *testing.T) {
	s := startServer(t)
	n := s.node(t, "")
	n.Retain(longest, func(channel string) broker.Retention { return broker.Retention{MaxMessages: len(channel)} })
	const channels = 20_000
	for first := 0; first < channels; first += 500 {
		var batch []broker.Message
		for i := first; i < first+500; i++ {
			batch = append(batch, broker.Message{Channel: strings.Repeat("c", 1+i%90) + fmt.Sprint(i), Data: []byte("x")})
		}
		for _, r := range must(n.Publish(t.Context(), nil, batch)) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
	}
	sent := s.Commands("evalsha")
	for _, args := range sent {
		if channel := args[5]; args[6] != fmt.Sprint(len(channel)) {
			t.Fatalf("of %s %s entries are kept", channel, args[6])
		}
	}
	if len(sent) != channels {
		t.Errorf("%d were published", len(sent))
	}
}

func must(results []broker.Result, _ bool) []broker.Result { return results }
