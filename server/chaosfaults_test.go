package server_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

// onRedis starts nodes on a Redis, with history.
func onRedis(t *testing.T, nodes int, url string) (addresses []string) {
	t.Helper()
	for range nodes {
		addresses = append(addresses, start(t, onHistory(t, url)).addr)
	}
	return addresses
}

// onHistory are the options of a node on a Redis, with history. What the node calls
// an error is seen beside what the test does.
func onHistory(t *testing.T, url string) server.Options {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	return server.Options{Broker: open(t, withHistory(url)), Logger: log}
}

// withHistory adds chaosHistory to a broker URL.
func withHistory(url string) string {
	if strings.Contains(url, "?") {
		return url + "&" + strings.TrimPrefix(chaosHistory, "?")
	}
	return url + chaosHistory
}

// aMoment passes before a fault, which comes at any moment.
func aMoment() { time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) }

// Redis is killed again and again, and publishers repeat what had no answer: each
// client, staying or coming back, hears every number once and in order, is told no
// gap, and is never sent away.
func TestChaosKills(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, compacting...)
	c := newChaos(t, onRedis(t, 2, redis.URL())...)
	n := longForm(*chaosClients, 30)
	c.steady(n - n/4)
	c.hopping(n / 4)
	c.publish(true)
	kills := faults(30)
	for i := range kills {
		c.goesOn()
		if i < kills/2 { // and later ones find nodes that have not recovered from the one before
			c.heard()
		}
		aMoment()
		c.outage(redis.Restart)
	}
	c.goesOn()
	c.finish(true, true)
}

// Clients drop their connections every 50 to 500 ms and continue where they were,
// while Redis is killed now and then: no seam, and nothing twice.
func TestChaosResume(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t, compacting...)
	c := newChaos(t, onRedis(t, 2, redis.URL())...)
	c.hopping(longForm(*chaosClients, 30))
	c.publish(true)
	lasts := longForm(*chaosTime, 3*time.Second)
	for until := time.Now().Add(lasts); time.Now().Before(until); {
		time.Sleep(max(2*time.Second, lasts/60))
		c.goesOn()
		c.outage(redis.Restart)
	}
	c.goesOn()
	c.finish(true, true)
}

// The links of subscribers are cut again and again, or go silent: what is lost is
// filled in, and nobody is told anything.
func TestChaosLinks(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	proxy := redistest.StartProxy(t, redis.Addr())
	n := start(t, onHistory(t, proxy.URL()))
	c := newChaos(t, n.addr)
	c.steady(longForm(*chaosClients, 20))
	c.hopping(5)
	c.publish(true)
	for i := range faults(6) {
		c.goesOn()
		switch {
		case i%6 == 5:
			proxy.Silence()
			n.awaitReady(http.StatusServiceUnavailable)
			proxy.Restore()
		case i%2 == 0:
			redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		default:
			proxy.Cut()
		}
		c.goesOn()
		c.heard()
	}
	c.finish(true, true)
}

// Where Redis loses what it has acknowledged, every client that has missed something
// is told, at that place, and none is told that it recovered what it did not.
func TestChaosLosses(t *testing.T) {
	t.Parallel()
	restart := func(s *redistest.Server) { s.Restart() }
	for _, loss := range []struct {
		name string
		args []string
		make func(*redistest.Server)
	}{
		{"no persistence", nil, restart},
		{"everysec", []string{"--appendonly", "yes", "--appendfsync", "everysec"}, restart},
		{"end of the file", durable, func(s *redistest.Server) { s.Kill(); s.TruncateAOF("XADD", 3*chaosChannels); s.Restart() }},
		{"FLUSHALL", nil, func(s *redistest.Server) { s.MustDo("FLUSHALL") }},
		{"deleted", nil, func(s *redistest.Server) { loseHistories(s, "DEL") }},
		{"expired", nil, func(s *redistest.Server) { loseHistories(s, "PEXPIRE", "1") }},
		{"evicted", []string{"--maxmemory-policy", "allkeys-lru"}, func(s *redistest.Server) {
			s.MustDo("CONFIG", "SET", "maxmemory", "1")
			s.MustDo("CONFIG", "SET", "maxmemory", "0")
		}},
	} {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			redis := redistest.Start(t, loss.args...)
			c := newChaos(t, onRedis(t, 1, redis.URL())...)
			c.steady(longForm(*chaosClients, 6))
			c.hopping(5)
			c.publish(false)
			for range faults(2) {
				c.goesOn()
				c.heard()
				before := c.told()
				c.outage(func() { loss.make(redis) })
				c.goesOn()
				c.heard()
				if c.told() == before {
					t.Error("nobody was told anything")
				}
			}
			c.finish(false, false)
		})
	}
}

// loseHistories has Redis run a command for the stream of every channel.
func loseHistories(s *redistest.Server, command string, args ...string) {
	for i := range chaosChannels {
		s.MustDo(append([]string{command, "__pregon:h:" + channelName(i)}, args...)...)
	}
}

// The replica takes over, because the master is dead or because somebody wants it:
// publishing goes on there, and whoever has missed something that the old master
// accepted is told. Until all nodes have heard of it there may be two masters, and
// then there is order within each only: publishers stay with one node each.
func TestChaosFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinels(t, 3)
	c := newChaos(t, onRedis(t, 2, s.URL())...)
	c.faithful = true
	c.steady(longForm(*chaosClients, 6))
	c.hopping(4) // whoever polls would read the same again from the other master
	c.publish(false)
	for i := range faults(2) {
		c.goesOn()
		c.heard()
		aMoment()
		old := s.Master()
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
	c.finish(false, false)
}

// A channel whose history has a hole of its own, or has lost its end, is told one
// gap, and goes on.
func TestChaosHole(t *testing.T) {
	t.Parallel()
	for _, hole := range []struct {
		name string
		make func(t *testing.T, s *redistest.Server)
		want []string // what comes before the next message
	}{
		{"skipped", skipIDs, []string{`"gap"`, `"by hand"`}},
		{"the end of the file is lost", func(_ *testing.T, s *redistest.Server) {
			s.Kill()
			s.TruncateAOF("XADD", 1)
			s.Restart()
		}, []string{`"gap"`}},
	} {
		t.Run(hole.name, func(t *testing.T) {
			redis := redistest.Start(t, durable...)
			n := start(t, server.Options{Broker: open(t, redis.URL()+chaosHistory)})
			c := n.ws("/ws/c?format=json")
			for i := range 3 {
				text := fmt.Sprint(i)
				n.publish("c", text)
				if got := read(t, c); !strings.Contains(got, text) {
					t.Fatal(got)
				}
			}
			hole.make(t, redis)
			n.awaitPublish("c", "next")
			n.publish("c", "last")
			for _, want := range append(hole.want, `"next"`, `"last"`) {
				if got := read(t, c); !strings.Contains(got, want) {
					t.Errorf("got %s, want something with %s", got, want)
				}
			}
		})
	}
}

// skipIDs adds an entry that is not the next.
func skipIDs(t *testing.T, s *redistest.Server) {
	t.Helper()
	entry := s.MustDo("XREVRANGE", "__pregon:h:c", "+", "-", "COUNT", "1")
	var epoch, seq uint64
	if _, err := fmt.Sscanf(entry, "%d-%d", &epoch, &seq); err != nil {
		t.Fatalf("no entry in %q: %v", entry, err)
	}
	s.MustDo("XADD", "__pregon:h:c", fmt.Sprintf("%d-%d", epoch, seq+5), "m", "d"+"by hand")
}

// awaitPublish publishes until that is accepted.
func (n *node) awaitPublish(channel, text string) {
	n.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		status, body := n.post("/publish/"+channel, "text/plain", text)
		if status == http.StatusOK {
			return
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			n.t.Fatalf("publish: %d %s", status, body)
		}
	}
}

// Nodes are stopped and replaced, one after the other, under load: each exits with 0,
// and clients come back to another and miss nothing.
func TestChaosRollingRestart(t *testing.T) {
	t.Parallel()
	program := buildPregon(t)
	redis := redistest.Start(t)
	c := newChaos(t)
	f := startFleet(c, redis.URL(), program, program, program)
	n := longForm(*chaosClients, 20)
	c.hopping(n / 2)
	for i := range n - n/2 {
		if i%2 == 0 {
			c.add("ws json", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "json", forever) })
		} else {
			c.add("sse", func(ctx context.Context, v *visitor) { v.listenSSE(ctx, forever) })
		}
	}
	c.publish(true)
	nodes := len(f.running)
	for i := range faults(nodes) {
		c.goesOn()
		f.replace(i%nodes, program)
		c.heard()
	}
	c.finish(true, false)
}
