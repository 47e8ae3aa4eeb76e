package memory_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// Whatever is said of channels and whenever, at least what all that was said since a message
// was published would keep of it is there, its channel goes on in its epoch, and no history
// claims to be complete where something is missing.
func TestRetainModel(t *testing.T) {
	said := rapid.MapOf(rapid.SampledFrom(modelChannels), rapid.Custom(func(t *rapid.T) broker.Retention {
		return broker.Retention{MaxMessages: rapid.IntRange(1, 9).Draw(t, "messages"), MaxAge: time.Duration(rapid.IntRange(1, 60).Draw(t, "seconds")) * time.Second}
	}))
	step := rapid.Custom(func(t *rapid.T) step {
		return step{
			what:    rapid.SampledFrom([]string{"publish", "publish", "publish", "wait", "keep", "retain"}).Draw(t, "what"),
			channel: rapid.SampledFrom(modelChannels).Draw(t, "channel"),
			wait:    time.Duration(rapid.IntRange(1, 30_000).Draw(t, "ms")) * time.Millisecond,
			said:    said.Draw(t, "said"),
		}
	})
	rapid.Check(t, func(r *rapid.T) {
		steps := rapid.SliceOfN(step, 1, 60).Draw(r, "steps")
		var failure string
		synctest.Test(t, func(t *testing.T) { failure = play(t, steps) })
		if failure != "" {
			r.Fatal(failure)
		}
	})
}

var modelChannels = []string{"a", "b", "c"}

// A step is what is done next, with what it needs.
type step struct {
	what    string
	channel string
	wait    time.Duration
	said    map[string]broker.Retention
}

// A model knows what must be there.
type model struct {
	keeper
	said      map[string]broker.Retention
	published map[string][]publication
}

type publication struct {
	at    broker.Position
	when  time.Time
	used  time.Time        // the channel, by it or by Keep
	least broker.Retention // of all that was said since
}

// play does the steps, and returns what is wrong then.
func play(t *testing.T, steps []step) (failure string) {
	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 5, MaxAge: 10 * time.Second})
	m := &model{keeper: newKeeper(t, bus.Broker()), published: map[string][]publication{}}
	defer m.Close()
	for i, s := range steps {
		switch s.what {
		case "publish":
			failure = m.publish(s.channel)
		case "wait":
			time.Sleep(s.wait)
		case "keep":
			if err := m.Keep(t.Context(), s.channel); err != nil {
				t.Fatal(err)
			}
			if all := m.published[s.channel]; len(all) > 0 {
				last := &all[len(all)-1]
				if time.Since(last.used) <= last.least.MaxAge {
					last.used = time.Now()
				}
			}
		case "retain":
			m.retain(s.said)
		}
		if failure == "" {
			failure = m.check()
		}
		if failure != "" {
			return fmt.Sprintf("at step %d, %s: %s", i, s.what, failure)
		}
	}
	return ""
}

// keeps is what is kept of a channel now.
func (m *model) keeps(channel string) broker.Retention {
	if r, ok := m.said[channel]; ok {
		return r
	}
	return m.Historian.Retention()
}

func (m *model) publish(c string) (failure string) {
	p := publication{m.say(c, "x"), time.Now(), time.Now(), m.keeps(c)}
	if all := m.published[c]; len(all) > 0 {
		last := all[len(all)-1]
		if idle := time.Since(last.used); idle <= last.least.MaxAge && !last.at.Next(p.at) {
			failure = fmt.Sprintf("after %v, used %v ago and kept for %v, comes %v", last.at, idle, last.least.MaxAge, p.at)
		}
	}
	m.published[c] = append(m.published[c], p)
	return failure
}

func (m *model) retain(said map[string]broker.Retention) {
	m.said = said
	m.Retain(day, func(channel string) broker.Retention { return said[channel] })
	for c, all := range m.published {
		now := m.keeps(c)
		for i, p := range all {
			all[i].least = broker.Retention{MaxMessages: min(p.least.MaxMessages, now.MaxMessages), MaxAge: min(p.least.MaxAge, now.MaxAge)}
		}
	}
}

// check reads all channels, from the newest messages and behind each.
func (m *model) check() (failure string) {
	for c, all := range m.published {
		kept := map[broker.Position]bool{}
		for _, k := range m.read(c, broker.Position{}).Messages {
			kept[k.Position] = true
		}
		for i, p := range all {
			if len(all)-i <= p.least.MaxMessages && time.Since(p.when) <= p.least.MaxAge && !kept[p.at] {
				return fmt.Sprintf("message %d of %d, %v old, is not kept; at least %+v", i, len(all), time.Since(p.when), p.least)
			}
			if page := m.read(c, p.at); page.Complete && len(page.Messages) != len(all)-1-i {
				return fmt.Sprintf("behind message %d of %d there are %d, and the history is complete", i, len(all), len(page.Messages))
			}
		}
	}
	return ""
}
