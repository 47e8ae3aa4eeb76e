package server_test

import (
	"slices"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// Clients of /live subscribe and unsubscribe 100 channels at random, live, from where they were or with
// the newest messages, while all are published to and links to Redis are cut. In each of its
// stays, from subscribed to unsubscribed, a client hears every message once and in order, and
// outside of them none; and each command is answered once. The same holds where every client is
// cut off in the middle of a replay, again and again, and comes back with its last id.
// -chaos.clients 1000 -chaos.time 60s is the long form.
func TestChaosLiveStays(t *testing.T) {
	t.Parallel()
	for _, cuts := range []bool{false, true} {
		name := "staying"
		if cuts {
			name = "cut in the middle of a replay"
		}
		t.Run(name+", memory", func(t *testing.T) {
			t.Parallel()
			b := memory.NewBusWithHistory(broker.Retention{MaxMessages: 10_000, MaxAge: 5 * time.Minute}).Broker()
			t.Cleanup(func() { _ = b.Close() })
			n := start(t, server.Options{Broker: b})
			talkAndCheck(newChaos(t, n.addr), cuts, func(int) {})
		})
		t.Run(name+", Redis", func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t)
			proxy := redistest.StartProxy(t, redis.Addr())
			n := start(t, onHistory(t, proxy.URL()))
			talkAndCheck(newChaos(t, n.addr), cuts, func(i int) {
				if i%2 == 0 {
					redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
				} else {
					proxy.Cut()
				}
			})
		})
	}
}

// talkAndCheck has clients change their channels while there are faults, and reports what was
// wrong with what they heard.
func talkAndCheck(c *chaos, cuts bool, fault func(i int)) {
	c.t.Helper()
	for channel := chaosChannels; channel < changingChannels; channel++ {
		c.load.addPosting(channel)
	}
	c.load.pace(longForm(*chaosRate, 500))
	c.load.remembers = true
	c.load.begin()
	c.publish(true)
	if cuts {
		c.until("there is too little to replay", func() bool { return c.load.total() > 10*changingChannels })
	}
	talkers := c.talk(longForm(*chaosClients, 40), cuts)
	lasts := longForm(*chaosTime, 2*time.Second)
	for i, until := 0, time.Now().Add(lasts); time.Now().Before(until); i++ {
		pause(c.ctx, max(300*time.Millisecond, lasts/100))
		aMoment()
		fault(i)
		c.goesOn()
	}
	if cuts {
		c.until("some client is never cut off in the middle of a replay", func() bool {
			return !slices.ContainsFunc(talkers, func(ch *talker) bool { return ch.cutOff() == 0 })
		})
	}
	c.calm.Store(true) // nobody is cut off any more
	for _, ch := range talkers {
		ch.quiet()
	}
	c.load.stop()
	finishTalks(c, talkers)
	c.t.Log(c.load.summary(0))
}

// talk begins clients.
func (c *chaos) talk(clients int, cuts bool) (talkers []*talker) {
	for i := range clients {
		ch := newTalker(c, i, cuts)
		talkers = append(talkers, ch)
		c.listening.Go(func() { ch.stay(c.ctx) })
		ch.changing.Go(func() { ch.change(time.Duration(clients) * changeInterval) })
	}
	c.t.Cleanup(func() { // where the test has ended before
		for _, ch := range talkers {
			ch.quiet()
		}
		c.end()
	})
	return talkers
}

// finishTalks waits until each client has heard all of its channels, has it leave them, and
// reports what was wrong.
func finishTalks(c *chaos, talkers []*talker) {
	newest := c.load.positions()
	stays, unopened, messages, came, inReplay := 0, 0, 0, 0, 0
	for i, ch := range talkers {
		if !await(func() bool { return ch.hears.upTo(newest) }) {
			c.t.Errorf("client %d does not hear all that was published: %s", i, ch.hears.state(newest))
		}
		ch.leaveAll()
		if !await(ch.isQuiet) {
			c.t.Errorf("client %d: not all is answered: %s", i, ch.state())
		}
	}
	c.end()
	for i, ch := range talkers {
		for _, err := range ch.hears.errs[:min(5, len(ch.hears.errs))] {
			c.t.Errorf("client %d: %s", i, err)
		}
		stays, unopened, messages = stays+ch.hears.stays, unopened+ch.hears.unopened, messages+ch.hears.messages
		came, inReplay = came+ch.came, inReplay+ch.inReplay
	}
	c.t.Logf("%d clients heard %d messages in %d stays; %d more ended before they had begun; they connected %d times, and were cut off %d times in the middle of a replay",
		len(talkers), messages, stays, unopened, came, inReplay)
}
