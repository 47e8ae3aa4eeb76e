package server_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The long forms of the chaos tests. Zero is the short form of each.
var (
	chaosFaults  = flag.Int("chaos.faults", 0, "how many faults a chaos test makes")
	chaosClients = flag.Int("chaos.clients", 0, "how many clients a chaos test has")
	chaosRate    = flag.Int("chaos.rate", 0, "how many messages a second a chaos test offers")
	chaosHostile = flag.Int("chaos.hostile", 0, "how many random messages a hostile program sends, and a tenth as many that are well aimed")
	chaosTime    = flag.Duration("chaos.time", 0, "for how long the clients of ChaosResume and ChaosLiveStays come and go, and those of ChaosUpgrade have one old node left")
)

// longForm returns what a flag says, or else the short form.
func longForm[T int | time.Duration](flag, short T) T {
	if flag > 0 {
		return flag
	}
	return short
}

func faults(short int) int { return longForm(*chaosFaults, short) }

// Publications go to so many channels, and each client hears one of them: then many
// clients and many messages a second fit into one machine.
const (
	chaosChannels = 20
	eachChannel   = 2 // publishers
)

const chaosHistory = "?history=5m&history-size=10000"

// durable makes Redis keep what it has acknowledged.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// compacting has it write its file anew often, too: so faults come in the middle of
// that, and a start after many of them does not take ever longer.
var compacting = append(slices.Clone(durable), "--auto-aof-rewrite-min-size", "1mb")

// A chaos is nodes, publishers and clients that check what they hear.
type chaos struct {
	t    *testing.T
	dial func(ctx context.Context, network, addr string) (net.Conn, error) // to a node

	mu       sync.Mutex
	nodes    []string // addresses
	checkers []*checker

	ctx       context.Context // ends the clients
	leave     context.CancelFunc
	listening sync.WaitGroup

	load     *load
	faithful bool          // publishers stay with one node each
	down     time.Duration // in which Redis did not run
	kept     bool          // a gap is no excuse for what a history has
	replaced atomic.Value  // the address of the newest server that is not the master any more
	anything bool          // clients may hear what no publisher has published
	calm     atomic.Bool   // clients stay, until they have caught up
	rejoin   bool          // text clients come back without a cursor while their channel is filled
}

func newChaos(t *testing.T, nodes ...string) *chaos {
	c := &chaos{t: t, dial: new(net.Dialer).DialContext, nodes: nodes}
	c.ctx, c.leave = context.WithCancel(context.Background())
	c.load = newLoad(c)
	return c
}

// addressFor is that of the node that a publisher uses.
func (c *chaos) addressFor(publisher int) string {
	if !c.faithful {
		return c.address()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[publisher%len(c.nodes)]
}

// address is that of any node.
func (c *chaos) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[rand.IntN(len(c.nodes))]
}

// add adds a client, which hears one of the channels.
func (c *chaos) add(name string, listen func(ctx context.Context, v *visitor)) *checker {
	if len(c.checkers) == 0 {
		c.load.begin()
	}
	i := len(c.checkers)
	ch := newChecker(fmt.Sprint(name, " ", i), c.load.accepted)
	ch.topic, ch.known = channelName(i%chaosChannels), c.load.cursor
	ch.kept, ch.anything, ch.begun = c.kept, c.anything, c.load.begun
	if c.rejoin || c.load.remembers { // then text clients come without a cursor in the middle
		ch.here = map[int]int{}
	}
	c.checkers = append(c.checkers, ch)
	v := &visitor{chaos: c, checker: ch, channel: i % chaosChannels}
	for _, p := range c.load.of(v.channel) {
		if ch.came[p.id] = 0; p.stranger {
			ch.outside[p.id] = &stranger{}
		}
	}
	c.listening.Go(func() { listen(c.ctx, v) })
	return ch
}

// steady adds n clients that stay.
func (c *chaos) steady(n int) {
	for i := range n {
		switch i % 3 {
		case 0:
			c.add("steady ws json", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "json", forever) })
		case 1:
			c.add("steady ws text", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "text", forever) })
		default:
			c.add("steady sse", func(ctx context.Context, v *visitor) { v.listenSSE(ctx, forever) })
		}
	}
}

// hopping adds n clients that come and go and continue where they were.
func (c *chaos) hopping(n int) {
	for i := range n {
		switch i % 5 {
		case 0, 2:
			c.add("hopping ws json", func(ctx context.Context, v *visitor) { v.listenWS(ctx, "json", hopping) })
		case 1, 3:
			c.add("hopping sse", func(ctx context.Context, v *visitor) { v.listenSSE(ctx, hopping) })
		default:
			c.add("polling", func(ctx context.Context, v *visitor) { v.poll(ctx) })
		}
	}
}

// outage makes a fault during which Redis does not run.
func (c *chaos) outage(fault func()) {
	began := time.Now()
	fault()
	c.down += time.Since(began)
}

// goesOn returns when publications that begin now are accepted.
func (c *chaos) goesOn() {
	c.t.Helper()
	from := c.load.total()
	c.until("publishing does not go on", func() bool { return c.load.total() > from+2*int64(len(c.load.publishers)) })
}

// calmAfter is when clients stay, so that they catch up on a machine that is too busy for them.
const calmAfter = 10 * time.Second

// heard returns when every client has heard what was published so far. On a machine that is
// too busy for clients to come and go all the time they would never get there, so
// after a while they stay.
func (c *chaos) heard() {
	c.t.Helper()
	ends := c.load.newest()
	var behind []*checker
	began := time.Now()
	defer c.calm.Store(false)
	if await(func() bool {
		c.calm.Store(time.Since(began) > calmAfter)
		behind = c.behind(ends)
		return len(behind) == 0
	}) {
		return
	}
	for _, ch := range behind {
		c.t.Errorf("%s does not hear all that was published: %s", ch.name, ch.state())
	}
	c.t.FailNow()
}

// behind are the clients that have not heard all up to ends, which are the numbers of
// publishers.
func (c *chaos) behind(ends []int) (behind []*checker) {
	for i, ch := range c.checkers {
		for _, p := range c.load.of(i % chaosChannels) {
			if !ch.has(p.id, ends[p.id]) {
				behind = append(behind, ch)
				break
			}
		}
	}
	return behind
}

func (c *chaos) until(what string, done func() bool) {
	c.t.Helper()
	if !await(done) {
		c.t.Fatal(what)
	}
}

// await reports whether something is done before patience ends.
func await(done func() bool) bool {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// finish ends all, and reports what was wrong.
func (c *chaos) finish(lossless, staying bool) {
	c.t.Helper()
	c.load.stop()
	c.heard()
	c.end()
	gaps, wrong := c.verdict(lossless, staying)
	for _, w := range wrong {
		c.t.Error(w)
	}
	c.t.Logf("%d clients heard %d messages and were told of %d gaps; %s", len(c.checkers), c.heardInAll(), gaps, c.load.summary(c.down))
}

// end ends the clients.
func (c *chaos) end() {
	c.leave()
	c.listening.Wait()
}

// verdict returns how many gaps were told, and what was wrong: gaps and closes, too,
// where the test allows none.
func (c *chaos) verdict(lossless, staying bool) (gaps int, wrong []string) {
	for _, ch := range c.checkers {
		told, closes, errs := ch.report()
		gaps += told
		if lossless && told > 0 {
			errs = append(errs, fmt.Sprintf("%d gaps were told", told))
		}
		if staying && closes > 0 {
			errs = append(errs, fmt.Sprintf("%d connections were closed", closes))
		}
		for _, e := range errs {
			wrong = append(wrong, ch.name+": "+e)
		}
	}
	return gaps, wrong
}

// told returns how many gaps clients were told so far.
func (c *chaos) told() (n int) {
	for _, ch := range c.checkers {
		gaps, _, _ := ch.report()
		n += gaps
	}
	return n
}

func (c *chaos) heardInAll() (n int) {
	for _, ch := range c.checkers {
		n += ch.count()
	}
	return n
}
