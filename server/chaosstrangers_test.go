package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker/redis/redistest"
)

// strangersHTTP is how many messages a second are offered by HTTP beside strangers.
const strangersHTTP = 100

// besideStrangers makes a chaos in which other programs publish, too.
func besideStrangers(t *testing.T, nodes []string, master func() (string, error)) *chaos {
	c := newChaos(t, nodes...)
	c.replaced.Store("none")
	c.load.remembers = true
	c.load.pace(longForm(*chaosRate, strangersHTTP))
	c.neighbours(t, master)
	return c
}

// hold has every node carry all channels, whichever clients come and go.
func (c *chaos) hold() {
	var query []string
	for i := range chaosChannels {
		query = append(query, "channel="+channelName(i))
	}
	for _, node := range c.nodes {
		held := make(chan struct{})
		there := sync.OnceFunc(func() { close(held) })
		c.listening.Go(func() {
			for ; c.ctx.Err() == nil; between(c.ctx) {
				conn, _, err := websocket.DefaultDialer.DialContext(c.ctx, "ws://"+node+"/ws?format=json&"+strings.Join(query, "&"), nil)
				if err != nil {
					continue
				}
				there()
				unhook := context.AfterFunc(c.ctx, func() { _ = conn.Close() })
				for err == nil {
					_, _, err = conn.NextReader()
				}
				unhook()
				_ = conn.Close()
			}
		})
		<-held
	}
}

// crowd adds n clients of all kinds, so that each channel has several kinds. Those that
// come and go are away for a time, nil for a moment.
func (c *chaos) crowd(n int, away stay) {
	bites := func() int { return 1 + rand.IntN(3) }
	if away != nil { // or they would stay behind
		bites = func() int { return 20 + rand.IntN(20) }
	}
	type kind struct {
		name   string
		stays  bool
		listen func(ctx context.Context, v *visitor)
	}
	ws := func(format string, s stay) func(context.Context, *visitor) {
		return func(ctx context.Context, v *visitor) { v.listenWS(ctx, format, s) }
	}
	biting := func(listen func(context.Context, *visitor)) func(context.Context, *visitor) {
		return func(ctx context.Context, v *visitor) { v.bites = bites; listen(ctx, v) }
	}
	sse := func(ctx context.Context, v *visitor) { v.listenSSE(ctx, hopping) }
	kinds := []kind{
		{"hopping ws json", false, ws("json", hopping)},
		{"hopping ws text", false, ws("text", hopping)},
		{"hopping sse", false, sse},
		{"biting ws json", false, biting(ws("json", forever))},
		{"steady ws json", true, ws("json", forever)},
		{"biting sse", false, biting(sse)},
		{"steady ws text", true, ws("text", forever)},
		{"biting ws text", false, biting(ws("text", forever))},
		{"steady sse", true, func(ctx context.Context, v *visitor) { v.listenSSE(ctx, forever) }},
		{"polling", false, func(ctx context.Context, v *visitor) { v.poll(ctx) }},
		{"hopping ws json", false, ws("json", hopping)},
	}
	if c.faithful { // a client that polls may read the same again from the other master
		kinds = slices.DeleteFunc(kinds, func(k kind) bool { return k.name == "polling" })
	}
	for i := range n {
		k := kinds[i%len(kinds)]
		c.add(k.name, func(ctx context.Context, v *visitor) {
			if !k.stays {
				v.away = away
			}
			k.listen(ctx, v)
		}).stays = k.stays
	}
}

// undisturbed publishes for a while, and fails the test where somebody is told a gap.
func (c *chaos) undisturbed() {
	c.t.Helper()
	c.goesOn()
	c.goesOn()
	c.heard()
	for reason, n := range c.reasons() {
		c.t.Errorf("without any fault %d gaps were told, reason %q", n, reason)
	}
}

// reasons are how many gaps were told so far, by reason.
func (c *chaos) reasons() map[string]int {
	reasons := map[string]int{}
	for _, ch := range c.checkers {
		ch.mu.Lock()
		for r, n := range ch.reasons {
			reasons[r] += n
		}
		ch.mu.Unlock()
	}
	return reasons
}

// conclude ends all, and reports what was wrong. overlooked is how many messages of
// strangers may be missing in spite of a recovery; told are the reasons for which
// gaps may be told in channels without strangers.
func (c *chaos) conclude(overlooked int, told ...string) {
	c.t.Helper()
	c.load.stop()
	c.heard()
	c.end()
	_, wrong := c.verdict(false, false)
	var yes, no [2]int // in channels with strangers, and without
	var over []string
	missed, repeats := 0, 0
	for i, ch := range c.checkers {
		of := 0
		if !hasStrangers(i % chaosChannels) {
			of = 1
		}
		y, n := ch.answers()
		yes[of], no[of], missed = yes[of]+y, no[of]+n, missed+ch.missed
		repeats += ch.repeats
		for _, o := range ch.overlooked {
			over = append(over, ch.name+": "+o)
		}
		if of == 0 {
			continue
		}
		for reason, n := range ch.reasons {
			if !slices.Contains(told, reason) {
				wrong = append(wrong, fmt.Sprintf("%s: %d gaps were told in a channel without strangers, reason %q", ch.name, n, reason))
			}
		}
		if n > 0 && len(told) == 0 {
			wrong = append(wrong, fmt.Sprintf("%s: was not recovered %d times in a channel without strangers", ch.name, n))
		}
	}
	if len(over) > overlooked {
		wrong = append(wrong, over[:min(len(over), 10)]...)
	}
	for _, w := range wrong {
		c.t.Error(w)
	}
	c.t.Logf("%d clients heard %d messages; %s", len(c.checkers), c.heardInAll(), c.load.summary(c.down))
	c.t.Logf("strangers: %d messages were heard by some node, %d by nobody, %d by a part of the nodes of a master that was replaced; %d heard again after coming back, %d missing without a word, %d in spite of a recovery",
		c.load.ofStrangers(), c.load.unheard.Load(), c.load.split.Load(), repeats, missed, len(over))
	c.t.Logf("gaps by reason %v; recovered and not, with strangers %d and %d, without %d and %d", c.reasons(), yes[0], no[0], yes[1], no[1])
	for _, o := range over[:min(len(over), 5)] {
		c.t.Log(o)
	}
}

// A hurt is a fault of Redis or of the links to it.
type hurt struct {
	name string
	make func()
}

// awaitLinks returns when n nodes carry the first channel again.
func awaitLinks(c *chaos, redis *redistest.Server, n int) {
	c.t.Helper()
	c.until("the links do not come back", func() bool {
		return redis.MustDo("PUBSUB", "NUMSUB", channelName(0)) >= fmt.Sprint(channelName(0), "\n", n)
	})
}

// Other programs publish beside the histories of some channels, while Redis is killed
// and links are cut, once or twice in a row: who may have missed one of their messages
// is told, in its place, and nobody is told to be recovered who has missed one. What is
// published by HTTP and by the one command is heard once and in order, and in channels
// without strangers nobody is told anything.
func TestChaosStrangers(t *testing.T) {
	redis := redistest.Start(t, compacting...)
	var proxies []*redistest.Proxy
	var nodes []string
	for range 3 {
		p := redistest.StartProxy(t, redis.Addr())
		proxies, nodes = append(proxies, p), append(nodes, onRedis(t, 1, p.URL())...)
	}
	c := besideStrangers(t, nodes, func() (string, error) { return redis.Addr(), nil })
	c.kept = true
	c.hold()
	c.crowd(longForm(*chaosClients, 60), nil)
	c.publish(true)
	c.undisturbed()
	rng := rand.New(rand.NewPCG(10, 1))
	cutAll := func() {
		for _, p := range proxies {
			p.Cut()
		}
	}
	kill := func() { c.outage(redis.Restart) }
	kills := []hurt{
		{"kill", kill},
		{"kill twice", func() { kill(); awaitLinks(c, redis, 1); kill() }},
		{"kill and cut", func() { kill(); awaitLinks(c, redis, 2); cutAll() }},
	}
	cuts := []hurt{
		{"one link", func() { proxies[rng.IntN(len(proxies))].Cut() }},
		{"all links twice", func() { cutAll(); awaitLinks(c, redis, 1); cutAll() }},
		{"subscriptions", func() { redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub") }},
		{"subscriptions twice", func() {
			for range 2 {
				redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
				awaitLinks(c, redis, 3)
			}
			redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		}},
	}
	if *chaosFaults > 0 {
		cuts = append(cuts, hurt{"silence", func() {
			p := proxies[rng.IntN(len(proxies))]
			p.Silence()
			time.Sleep(5 * time.Second) // twice the heartbeat of a driver, and more
			p.Restore()
		}})
	}
	for i := range faults(4) {
		c.goesOn()
		if rng.IntN(2) == 0 {
			c.heard()
		}
		time.Sleep(time.Duration(rng.IntN(100)) * time.Millisecond)
		if i%2 == 0 {
			kills[i/2%len(kills)].make()
		} else {
			cuts[i/2%len(cuts)].make()
		}
	}
	c.goesOn()
	c.heard()
	c.conclude(0)
}

// Nodes that do not carry a channel hear none of its strangers' messages: they know
// them by the marks of others. Where such a node answers within the milliseconds that a
// mark takes, it cannot know. With a message a second, and 20 ms on a busy machine, one
// in fifty recoveries may so be wrong (measured: none of 171). What is live, and what
// histories have, is as elsewhere.
func TestChaosStrangersElsewhere(t *testing.T) {
	redis := redistest.Start(t, compacting...)
	c := besideStrangers(t, onRedis(t, 3, redis.URL()), func() (string, error) { return redis.Addr(), nil })
	c.kept = true
	for _, p := range c.load.publishers {
		if p.stranger {
			p.interval = time.Second // so that somebody is recovered at all
		}
	}
	c.crowd(longForm(*chaosClients, 60), func() time.Duration { // a node keeps a channel for 2 s
		return 2100*time.Millisecond + rand.N(time.Second)
	})
	c.publish(true)
	time.Sleep(longForm(*chaosTime, 5*time.Second))
	c.goesOn()
	yes, _ := c.recoveries()
	c.conclude(1 + yes/50)
}

// recoveries are how often clients of channels with strangers were told to be
// recovered, and not.
func (c *chaos) recoveries() (yes, no int) {
	for i, ch := range c.checkers {
		if hasStrangers(i % chaosChannels) {
			y, n := ch.answers()
			yes, no = yes+y, no+n
		}
	}
	return yes, no
}

// The master is replaced again and again: as TestChaosStrangers, but what the old
// master has accepted may be lost, which is told in every channel.
func TestChaosStrangersFailover(t *testing.T) {
	s := redistest.StartSentinels(t, 3)
	c := besideStrangers(t, onRedis(t, 3, s.URL()), masterBy(s))
	c.faithful = true
	c.hold()
	c.crowd(longForm(*chaosClients, 60), nil)
	c.publish(false)
	c.undisturbed()
	for i := range faults(2) {
		c.goesOn()
		c.heard()
		aMoment()
		old := s.Master()
		c.replaced.Store(old.Addr())
		c.outage(func() {
			if i%2 == 0 {
				s.Failover()
			} else {
				s.KillMaster()
			}
			c.until("no other server becomes the master", func() bool { return s.Master() != old })
		})
		c.goesOn()
		if i%2 == 1 {
			old.Restart()
		}
		s.Await()
	}
	c.goesOn()
	c.heard()
	c.conclude(0, "", "new-epoch", "not-retained", "missing")
}

// masterBy asks a Sentinel for the master, as programs do.
func masterBy(s *redistest.Sentinels) func() (string, error) {
	return func() (string, error) {
		reply, err := s.Watch[0].Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", redistest.MasterName)
		return strings.Replace(reply, "\n", ":", 1), err
	}
}
