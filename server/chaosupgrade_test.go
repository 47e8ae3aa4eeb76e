package server_test

import (
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// upgradeOld lets the tests below upgrade from another tree: see CONTRIBUTING.md.
var upgradeOld = flag.String("upgrade.old", "", "the pregon from which ChaosUpgrade upgrades, instead of one of this tree")

// Nodes of an old and of a new program share one Redis with history, under load.
func TestChaosUpgrade(t *testing.T) {
	fresh := buildPregon(t)
	old := fresh
	if *upgradeOld != "" {
		old = *upgradeOld
	}
	t.Run("Kept", func(t *testing.T) { upgradeKept(t, old, fresh) })
	t.Run("Losses", func(t *testing.T) { upgradeLosses(t, old, fresh) })
	t.Run("Cursors", func(t *testing.T) { upgradeCursors(t, old, fresh) })
}

// Nodes are upgraded one after the other, and one of them is taken back in between,
// while clients go to and fro between old and new ones, links are cut and Redis is
// killed: each client hears every number once and in order, and is told no gap and no
// lost place. What the old nodes have kept, the new ones serve.
func upgradeKept(t *testing.T, old, fresh string) {
	redis := redistest.Start(t, durable...)
	c := newChaos(t)
	c.load.remembers = true
	f := startFleet(c, redis.URL(), old, old, old)
	n := longForm(*chaosClients, 22)
	c.steady(n / 2)
	c.hopping(n - n/2)
	c.publish(true)
	c.goesOn()
	c.heard()
	before := f.past(0)
	steps := []struct {
		node    int
		program string
	}{{0, fresh}, {1, fresh}, {0, old}, {0, fresh}, {2, fresh}}
	for i, step := range steps {
		f.believed()
		f.replace(step.node, step.program)
		f.ready()
		c.goesOn()
		redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		c.goesOn()
		c.heard()
		if i == 1 { // one node is old
			c.outage(redis.Restart)
			time.Sleep(*chaosTime)
			c.goesOn()
			c.heard()
		}
	}
	f.believed()
	for i := range f.running {
		f.continues(i, before)
	}
	c.finish(true, false)
	yes, no := 0, 0
	for _, ch := range c.checkers {
		y, n := ch.answers()
		yes, no = yes+y, no+n
	}
	t.Logf("clients came back with a cursor and were told: recovered %d times, not recovered %d times", yes, no)
}

// ready returns when every node has heard its own messages.
func (f *fleet) ready() {
	f.chaos.t.Helper()
	for _, p := range f.running {
		f.chaos.until("a node is not ready beside the others", func() bool {
			resp, err := http.Get("http://" + p.addr + "/readyz")
			if err != nil {
				return false
			}
			_ = resp.Body.Close()
			return resp.StatusCode == http.StatusOK
		})
	}
}

// believed checks that no node has rejected what another has published: it would be
// filled in from the history later, which clients do not notice.
func (f *fleet) believed() {
	f.chaos.t.Helper()
	for i := range f.running {
		if _, figures := f.client(i).get("/metrics"); !strings.Contains(figures, "\npregon_messages_rejected_total 0\n") {
			f.chaos.t.Errorf("node %d does not believe what the others publish", i)
		}
	}
}

// client is one of the node i.
func (f *fleet) client(i int) *node {
	return &node{t: f.chaos.t, addr: f.running[i].addr, client: http.DefaultClient}
}

// past returns the histories of all channels as the node i has them.
func (f *fleet) past(i int) map[string]pastAnswer {
	past := map[string]pastAnswer{}
	for channel := range chaosChannels {
		name := channelName(channel)
		past[name] = f.client(i).history("/history/" + name + "?limit=1000")
	}
	return past
}

// continues checks that the cursors of a past are good with the node i: behind each of
// some comes what came behind it then.
func (f *fleet) continues(i int, past map[string]pastAnswer) {
	f.chaos.t.Helper()
	for channel, then := range past {
		texts := then.texts()
		for k := 0; k < len(texts); k += 1 + len(texts)/5 {
			now := f.client(i).history("/history/" + channel + "?limit=1000&since=" + then.Messages[k].ID)
			if rest := texts[k+1:]; !now.Complete || !slices.Equal(now.texts()[:min(len(rest), len(now.Messages))], rest) {
				f.chaos.t.Fatalf("node %d, %s behind %q: complete %v, %q; there was %q", i, channel, texts[k], now.Complete, now.texts(), rest)
			}
		}
	}
}

// texts are the messages of a page.
func (a pastAnswer) texts() []string {
	texts := make([]string, len(a.Messages))
	for i, m := range a.Messages {
		texts[i] = m.Data
	}
	return texts
}

// Where Redis loses what it has acknowledged while there are old and new nodes, every
// client that has missed something is told, wherever its cursor is from, and none is
// told that it recovered what it did not.
func upgradeLosses(t *testing.T, old, fresh string) {
	redis := redistest.Start(t)
	c := newChaos(t)
	startFleet(c, redis.URL(), old, fresh)
	c.steady(longForm(*chaosClients, 6))
	c.hopping(5)
	c.publish(false)
	losses := []func(){redis.Restart, func() { redis.MustDo("FLUSHALL") }, func() { loseHistories(redis, "DEL") }}
	for i := range faults(len(losses)) {
		c.goesOn()
		c.heard()
		before := c.told()
		c.outage(losses[i%len(losses)])
		c.goesOn()
		c.heard()
		if c.told() == before {
			t.Error("nobody was told anything")
		}
	}
	c.finish(false, false)
}

// A cursor of an old node is good with a new one exactly as far as the history goes
// back, and the other way round.
func upgradeCursors(t *testing.T, old, fresh string) {
	const published, kept = 20, 5
	for _, way := range []struct{ name, from, to string }{{"of the old", old, fresh}, {"of the new", fresh, old}} {
		t.Run(way.name, func(t *testing.T) {
			redis := redistest.Start(t)
			f := startFleet(newChaos(t), redis.URL(), way.from, way.to)
			var cursors []string
			for i := range published {
				cursors = append(cursors, f.client(0).receipt("c", fmt.Sprint(i)))
			}
			redis.MustDo("XTRIM", "__pregon:h:c", "MAXLEN", "=", fmt.Sprint(kept))
			for i, cursor := range cursors {
				want := []string{`"recovered":false`}
				if i >= published-kept-1 {
					want = []string{`"recovered":true`}
					for next := i + 1; next < published; next++ {
						want = append(want, fmt.Sprintf(`"data":"%d"`, next))
					}
				}
				conn := f.client(1).ws("/ws/c?format=json&since=" + cursor)
				for _, want := range want {
					if got := read(t, conn); !strings.Contains(got, want) {
						t.Fatalf("behind message %d came %s, want %s", i, got, want)
					}
				}
				_ = conn.Close()
			}
		})
	}
}
