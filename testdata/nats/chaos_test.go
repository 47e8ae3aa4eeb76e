package nats_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
	natstest "github.com/pregon/pregon/testdata/nats"

	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

// The long form of the chaos tests: -chaos.faults 100 -chaos.clients 200.
var (
	chaosFaults  = flag.Int("chaos.faults", 5, "how many times a chaos test kills the server, and how many times it cuts links")
	chaosClients = flag.Int("chaos.clients", 20, "how many clients a chaos test has")
	chaosSeed    = flag.Uint64("chaos.seed", 1, "decides what faults a chaos test makes, in which order")
)

const (
	chaosChannels = 5
	eachChannel   = 2 // publishers
	patience      = time.Minute
)

// A chaos is two nodes on one NATS server, with publishers and clients that come and go between them.
type chaos struct {
	t       *testing.T
	nats    *natstest.Server
	proxies []*redistest.Proxy    // of the nodes
	nodes   []string              // their addresses
	kept    bool                  // there is a history
	starts  [chaosChannels]string // the cursors from which clients begin, where it is so

	web        http.Client // of publishers
	calm       atomic.Bool // clients stay
	publishers []*publisher
	clients    []*client
	running    sync.WaitGroup
}

// startChaos starts the nodes.
func startChaos(t *testing.T, kept bool) *chaos {
	c := &chaos{t: t, kept: kept, web: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: chaosChannels * eachChannel}}}
	t.Cleanup(c.web.CloseIdleConnections)
	var lines []string
	o := nats.Options{Logger: slog.New(slog.DiscardHandler)}
	if kept {
		lines, o.History = []string{keeping(t)}, broker.Retention{MaxMessages: 50_000, MaxAge: time.Hour}
	}
	c.nats = natstest.Start(t, lines...)
	for range 2 {
		proxy := redistest.StartProxy(t, c.nats.Addr())
		o.Servers = []string{proxy.Addr()}
		c.proxies = append(c.proxies, proxy)
		c.nodes = append(c.nodes, startNode(t, opened(t, o), o.Logger))
	}
	for i := range chaosChannels {
		c.until("nothing is accepted", func() (ok bool) {
			id, err := c.publish(t.Context(), i, "the start")
			c.starts[i] = id
			return err == nil
		})
	}
	return c
}

// startNode starts a node and returns its address. It closes b.
func startNode(t *testing.T, b broker.Broker, logger *slog.Logger) string {
	t.Helper()
	s, err := server.New(t.Context(), server.Options{Broker: b, Logger: logger, DrainTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
		_ = s.Close()
		_ = b.Close()
	})
	return l.Addr().String()
}

// run lets clients and publishers be there while faults are made, and then until each client has heard the end.
func (c *chaos) run(clients int, faults func()) {
	ctx, leave := context.WithCancel(c.t.Context())
	defer c.running.Wait()
	defer leave()
	for i := range clients {
		cl := &client{chaos: c, channel: i % chaosChannels, cursor: c.starts[i%chaosChannels], sse: i/chaosChannels%2 == 1, hops: i/chaosChannels%4 >= 2}
		c.clients = append(c.clients, cl)
		c.running.Go(func() { cl.run(ctx) })
	}
	if !c.await(func() bool { return c.all((*client).isThere) }) {
		for i, cl := range c.clients {
			c.t.Errorf("client %d: %s", i, cl.state(nil))
		}
		c.t.FailNow()
	}
	for i := range chaosChannels * eachChannel {
		p := &publisher{chaos: c, id: i, stop: make(chan struct{}), accepted: map[int]string{}}
		c.publishers = append(c.publishers, p)
		c.running.Go(func() { p.run(ctx) })
	}
	c.goesOn()
	faults()
	c.calm.Store(true)
	c.goesOn() // and clients that hear what is published now do not leave any more
	c.heard()
	for _, p := range c.publishers {
		close(p.stop)
	}
	c.until("publishers do not end", func() bool {
		for _, p := range c.publishers {
			if !p.isOver() {
				return false
			}
		}
		return true
	})
	c.heard()
}

// heard returns when all clients have heard something that is as new as what is accepted now.
func (c *chaos) heard() {
	c.t.Helper()
	ends := map[int]int{}
	for _, p := range c.publishers {
		ends[p.id] = p.newest()
	}
	if c.await(func() bool { return c.all(func(cl *client) bool { return cl.has(ends) }) }) {
		return
	}
	for i, cl := range c.clients {
		if !cl.has(ends) {
			c.t.Errorf("client %d does not hear all that was published: %s", i, cl.state(ends))
		}
	}
	c.t.FailNow()
}

// faults kills the server and cuts links, in an order that the seed decides. After some it waits until all goes on, and
// others come while that is not so yet.
func (c *chaos) faults(n int) {
	random := rand.New(rand.NewPCG(*chaosSeed, 0))
	for _, i := range random.Perm(2 * n) {
		if i < n {
			c.nats.Kill()
			time.Sleep(time.Duration(random.IntN(200)) * time.Millisecond)
			c.nats.Restart()
		} else {
			c.cut(random)
		}
		if random.IntN(2) == 0 {
			c.goesOn()
		} else {
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
	}
}

// cut cuts the links of one node, or of both.
func (c *chaos) cut(random *rand.Rand) {
	which := random.IntN(3)
	for i, p := range c.proxies {
		if which != i {
			p.Cut()
		}
	}
}

// goesOn returns when publications of all publishers that begin now are accepted.
func (c *chaos) goesOn() {
	c.t.Helper()
	for _, p := range c.publishers {
		from := p.newest()
		c.until("publishing does not go on", func() bool { return p.newest() > from+1 })
	}
}

func (c *chaos) all(is func(*client) bool) bool {
	for _, cl := range c.clients {
		if !is(cl) {
			return false
		}
	}
	return true
}

func (c *chaos) until(what string, done func() bool) {
	c.t.Helper()
	if !c.await(done) {
		c.t.Fatal(what)
	}
}

// await reports whether something is done before patience ends.
func (c *chaos) await(done func() bool) bool {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// What was acknowledged is kept and heard by every client once, in order, without a gap, whether it stays or comes and
// goes between nodes, over kills of the server and cuts of the nodes' links.
func TestChaosHistory(t *testing.T) {
	t.Parallel()
	c := startChaos(t, true)
	c.run(*chaosClients, func() { c.faults(*chaosFaults) })
	histories := make([][]said, chaosChannels)
	for i := range histories {
		histories[i] = c.history(i)
	}
	for _, wrong := range c.checkKept(histories) {
		t.Error(wrong)
	}
	for i, cl := range c.clients {
		for _, wrong := range first(cl.checkExact(histories[cl.channel]), 5) {
			t.Errorf("client %d: %s", i, wrong)
		}
	}
	c.summary()
}

// Without a history a client that stays is told of every hole, where links are cut and where the server is killed.
func TestChaosCore(t *testing.T) {
	t.Parallel()
	c := startChaos(t, false)
	c.run(*chaosClients, func() { c.faults(*chaosFaults) })
	gaps := 0
	for i, cl := range c.clients {
		wrong, told := cl.checkTold(c.publishers)
		gaps += told
		for _, w := range first(wrong, 5) {
			t.Errorf("client %d: %s", i, w)
		}
	}
	if gaps == 0 {
		t.Error("nobody was told a gap: the faults were none")
	}
	c.summary()
}

// summary says what has happened, and fails where that was too little to show anything.
func (c *chaos) summary() {
	accepted, again, heard, gaps, joins := 0, 0, 0, 0, 0
	for _, p := range c.publishers {
		accepted += len(p.accepted)
		again += p.again
	}
	for _, cl := range c.clients {
		for _, e := range cl.events {
			switch e.kind {
			case aMessage:
				heard++
			case aGap:
				gaps++
			case aJoin:
				joins++
			}
		}
	}
	if again == 0 || joins <= len(c.clients) {
		c.t.Error("no publication failed, or no client came back")
	}
	c.t.Logf("%d messages were accepted after %d failures; %d clients heard %d messages and %d gaps over %d connections",
		accepted, again, len(c.clients), heard, gaps, joins)
}

func channelName(i int) string { return fmt.Sprint("chaos", i) }

func first(all []string, n int) []string {
	if len(all) > n {
		return append(all[:n:n], fmt.Sprintf("and %d more", len(all)-n))
	}
	return all
}
