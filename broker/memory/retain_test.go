package memory_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// A keeper is a node with a history, for tests of what it retains.
type keeper struct {
	broker.Broker
	broker.Historian
	broker.Retainer
	fatal func(...any)
}

func newKeeper(t interface{ Fatal(...any) }, b broker.Broker) keeper {
	h, _ := broker.HistoryOf(b)
	return keeper{b, h, b.(broker.Retainer), t.Fatal}
}

func (k keeper) say(channel, text string) broker.Position {
	r, err := k.Publish(bg, broker.Message{Channel: channel, Data: []byte(text)})
	if err != nil {
		k.fatal(err)
	}
	return r.Position
}

func (k keeper) read(channel string, after broker.Position) broker.Page {
	page, err := k.History(bg, channel, broker.Query{After: after, Limit: 1000})
	if err != nil {
		k.fatal(err)
	}
	return page
}

// count is how many messages of a channel are kept.
func (k keeper) count(channel string) int { return len(k.read(channel, broker.Position{}).Messages) }

// ages makes a function for Retain.
func ages(of map[string]time.Duration) func(string) broker.Retention {
	return func(channel string) broker.Retention { return broker.Retention{MaxAge: of[channel]} }
}

var bg = context.Background()

var day = broker.Retention{MaxMessages: 1000, MaxAge: 24 * time.Hour}

// Messages of each channel are there for as long as was said of it, and no longer: short
// ones behind long ones, and the other way round.
func TestRetainAges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Minute}).Broker())
		defer k.Close()
		k.Retain(day, ages(map[string]time.Duration{"second": time.Second, "hour": time.Hour}))
		for range 3 {
			for _, c := range []string{"hour", "second", "minute"} {
				k.say(c, "x")
			}
		}
		for _, step := range []struct {
			wait                 time.Duration
			second, minute, hour int
		}{
			{time.Second, 3, 3, 3},
			{time.Millisecond, 0, 3, 3},
			{59 * time.Second, 0, 0, 3},
			{58 * time.Minute, 0, 0, 3},
			{time.Minute, 0, 0, 0},
		} {
			time.Sleep(step.wait)
			got := [3]int{k.count("second"), k.count("minute"), k.count("hour")}
			if want := [3]int{step.second, step.minute, step.hour}; got != want {
				t.Errorf("after another %v there are %v messages, want %v", step.wait, got, want)
			}
		}
	})
}

// A channel of which less is kept than of others goes on in its epoch where Keep is called
// as often as those need it.
func TestRetainedChannelLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour}).Broker())
		defer k.Close()
		k.Retain(broker.Retention{}, ages(map[string]time.Duration{"brief": time.Second}))
		last := k.say("brief", "0")
		for i := range 10 {
			time.Sleep(broker.LeastLife)
			k.say("other", "x")
			if err := k.Keep(t.Context(), "brief"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(broker.LeastLife)
			next := k.say("brief", fmt.Sprint(i))
			if page := k.read("brief", last); !last.Next(next) || !page.Complete {
				t.Fatalf("after %v comes %v; complete %v", last, next, page.Complete)
			}
			last = next
		}
		time.Sleep(2*broker.LeastLife + 1)
		k.say("other", "x")
		if next := k.say("brief", "x"); next.Epoch == last.Epoch {
			t.Errorf("after %v, which was forgotten, comes %v", last, next)
		}
	})
}

// What is said anew counts for what is used from then on: a channel that is kept for longer
// or for less goes on in its epoch, and what both say is there.
func TestRetainAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, memory.NewBusWithHistory(broker.Retention{MaxMessages: 1000, MaxAge: time.Minute}).Broker())
		defer k.Close()
		last := k.say("c", "0")
		k.Retain(day, ages(map[string]time.Duration{"c": time.Hour}))
		time.Sleep(30 * time.Second)
		if next := k.say("c", "1"); !last.Next(next) {
			t.Errorf("after %v comes %v", last, next)
		}
		time.Sleep(50 * time.Minute)
		if n := k.count("c"); n != 2 {
			t.Errorf("of two messages, that are kept for an hour, there are %d after 50 minutes", n)
		}
		for range 600 {
			last = k.say("c", "x")
		}
		k.Retain(broker.Retention{}, func(string) broker.Retention { return broker.Retention{MaxMessages: 5} })
		if n := k.count("c"); n != 602 {
			t.Errorf("before anything is published there are %d messages", n)
		}
		if next := k.say("c", "x"); !last.Next(next) {
			t.Errorf("after %v comes %v", last, next)
		}
		for range 5 { // a bounded number goes with each
			k.say("c", "x")
		}
		if n := k.count("c"); n != 5 {
			t.Errorf("of five messages that are kept there are %d", n)
		}
		if page := k.read("c", last); page.Complete {
			t.Error("behind a message that is gone the history is complete")
		}
		k.Retain(broker.Retention{}, nil)
		for range 20 {
			k.say("c", "x")
		}
		if n := k.count("c"); n != 25 {
			t.Errorf("after what was said was taken back, there are %d messages", n)
		}
	})
}

// Less is kept of a channel as soon as it is used, were it by Keep alone.
func TestRetainLess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Hour}).Broker())
		defer k.Close()
		k.say("c", "x")
		k.Retain(broker.Retention{}, ages(map[string]time.Duration{"c": time.Minute}))
		time.Sleep(2 * time.Minute)
		if n := k.count("c"); n != 1 {
			t.Errorf("before the channel is used there are %d messages", n)
		}
		if err := k.Keep(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if n := k.count("c"); n != 0 {
			t.Errorf("two minutes after it was published a message that is kept for one is there: %d", n)
		}
	})
}

// Nodes may say different things of a channel: then what the publisher of the newest message
// says counts for the channel.
func TestRetainOfNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100, MaxAge: time.Minute})
		few, many := newKeeper(t, bus.Broker()), newKeeper(t, bus.Broker())
		defer few.Close()
		defer many.Close()
		few.Retain(broker.Retention{}, func(string) broker.Retention { return broker.Retention{MaxMessages: 3} })
		for range 10 {
			many.say("c", "x")
		}
		if n := few.count("c"); n != 10 {
			t.Errorf("one node has said nothing, and of what it has published there are %d messages", n)
		}
		few.say("c", "x")
		if n := many.count("c"); n != 3 {
			t.Errorf("the publisher keeps three, and there are %d", n)
		}
	})
}

// What is too old is forgotten, however different the ages of channels are: of 20 MiB
// hardly anything remains but the room in maps.
func TestRetainedIsSwept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeeper(t, memory.NewBusWithHistory(broker.Retention{MaxMessages: 10, MaxAge: time.Second}).Broker())
		defer k.Close()
		k.Retain(day, func(channel string) broker.Retention {
			return broker.Retention{MaxAge: time.Duration(1+len(channel)%7) * time.Minute}
		})
		k.say("x", "x")
		before := heap()
		text := string(make([]byte, 1<<10))
		for i := range 20_000 {
			k.say(fmt.Sprintf("%0*d", i%97, i), text)
		}
		time.Sleep(time.Hour)
		for range 200 {
			k.say("x", "x")
		}
		if grown := heap() - before; grown > 5<<20 {
			t.Errorf("%d bytes remain of what has expired", grown)
		}
		if n := k.count("x"); n != 10 {
			t.Errorf("there are %d messages of ten", n)
		}
	})
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
