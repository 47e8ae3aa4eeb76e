package server_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

var (
	chaosFaults  = flag.Int("chaos.faults", 0, "how many faults a chaos test makes; 0 is the short form")
	chaosClients = flag.Int("chaos.clients", 0, "how many clients a chaos test has; 0 is the short form")
)

// faults is how many faults a test makes: short ones in the short form.
func faults(short int) int {
	if *chaosFaults > 0 {
		return *chaosFaults
	}
	return short
}

// A chaos is nodes, publishers and clients that check what they hear.
type chaos struct {
	t        *testing.T
	nodes    []*node
	mu       sync.Mutex
	checkers []*checker

	ctx       context.Context // ends the clients
	leave     context.CancelFunc
	listening sync.WaitGroup

	quit       chan struct{} // ends the publishers
	publishing sync.WaitGroup
	published  [publishers]atomic.Int64 // the newest number of each
	accepted   sync.Map                 // [publisher, number], those that were answered with 200
	retried    atomic.Int64             // publications that were sent again after an unknown outcome
}

const publishers = 4

// newChaos starts nodes on a Redis, with history.
func newChaos(t *testing.T, nodes int, url string, o server.Options) *chaos {
	c := &chaos{t: t, quit: make(chan struct{})}
	c.ctx, c.leave = context.WithCancel(context.Background())
	for range nodes {
		o.Broker = open(t, url)
		c.nodes = append(c.nodes, start(t, o))
	}
	return c
}

// address is that of any node.
func (c *chaos) address() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[rand.IntN(len(c.nodes))].addr
}

// add adds a client.
func (c *chaos) add(name string, listen func(ctx context.Context, ch *checker)) {
	ch := newChecker(fmt.Sprint(name, " ", len(c.checkers)), func(publisher, n int) bool {
		_, ok := c.accepted.Load([2]int{publisher, n})
		return ok
	})
	c.checkers = append(c.checkers, ch)
	c.listening.Go(func() { listen(c.ctx, ch) })
}

// steady adds clients that stay, n of each kind.
func (c *chaos) steady(n int) {
	for range n {
		for _, format := range []string{"json", "text"} {
			c.add("steady ws "+format, func(ctx context.Context, ch *checker) { listenWS(ctx, c, format, forever, ch) })
		}
		c.add("steady sse", func(ctx context.Context, ch *checker) { listenSSE(ctx, c, forever, ch) })
	}
}

// hopping adds clients that come and go and continue where they were.
func (c *chaos) hopping(n int) {
	for range n {
		c.add("hopping ws json", func(ctx context.Context, ch *checker) { listenWS(ctx, c, "json", hopping, ch) })
		c.add("hopping sse", func(ctx context.Context, ch *checker) { listenSSE(ctx, c, hopping, ch) })
	}
	c.add("polling", func(ctx context.Context, ch *checker) { poll(ctx, c, ch) })
}

// publish starts the publishers. Where again is set they repeat a publication with
// its key until it is accepted; otherwise each goes on with a new number.
func (c *chaos) publish(again bool) {
	for p := range publishers {
		c.publishing.Go(func() {
			client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
			defer client.CloseIdleConnections()
			for n := 1; ; n++ {
				for !c.say(client, p, n, again) && again {
					select {
					case <-c.quit: // it is heard, or it is not
						return
					case <-time.After(10 * time.Millisecond):
					}
					c.retried.Add(1)
				}
				c.published[p].Store(int64(n))
				select {
				case <-c.quit:
					return
				default:
				}
			}
		})
	}
}

// say reports whether a number was accepted.
func (c *chaos) say(client *http.Client, publisher, n int, keyed bool) bool {
	text := fmt.Sprintf("%d %d", publisher, n)
	req, err := http.NewRequest(http.MethodPost, "http://"+c.address()+"/publish/c", strings.NewReader(text))
	if err != nil {
		return false
	}
	if keyed {
		req.Header.Set("Idempotency-Key", text)
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false
	}
	c.accepted.Store([2]int{publisher, n}, true)
	return true
}

// goesOn returns when a number that was not published yet is accepted.
func (c *chaos) goesOn() {
	c.t.Helper()
	from := c.published[0].Load()
	c.until("publishing does not go on", func() bool { return c.published[0].Load() > from+20 })
}

func (c *chaos) until(what string, done func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatal(what)
		}
	}
}

// heard waits until every client has heard what was published so far.
func (c *chaos) heard() {
	c.t.Helper()
	ends := map[int]int{}
	for p := range publishers {
		ends[p] = int(c.published[p].Load())
	}
	for _, ch := range c.checkers {
		c.until(ch.name+" does not hear all that was published", func() bool { return ch.has(ends) })
	}
}

// finish ends all, and reports what was wrong: gaps and closes, too, where the test
// allows none.
func (c *chaos) finish(lossless, staying bool) (gaps int) {
	c.t.Helper()
	c.heard()
	close(c.quit)
	c.publishing.Wait()
	c.leave()
	c.listening.Wait()
	var total int64
	for p := range publishers {
		total += c.published[p].Load()
	}
	for _, ch := range c.checkers {
		told, closes, errs := ch.report()
		gaps += told
		if strings.Contains(ch.name, "text") {
			told -= closes + 1 // each connection of theirs counts as one
		}
		if lossless && told > 0 {
			errs = append(errs, fmt.Sprintf("%d gaps were told", told))
		}
		if staying && closes > 0 {
			errs = append(errs, fmt.Sprintf("%d connections were closed", closes))
		}
		for _, e := range errs {
			c.t.Errorf("%s: %s", ch.name, e)
		}
	}
	c.t.Logf("%d clients, %d published, %d sent again, %d gaps told", len(c.checkers), total, c.retried.Load(), gaps)
	return gaps
}

// clientsEach is how many clients there are of each kind.
func clientsEach(short int) int {
	if *chaosClients > 0 {
		return max(1, *chaosClients/5)
	}
	return short
}

// durable makes Redis keep what it has acknowledged.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

const chaosHistory = "?history=5m&history-size=100000"

// Redis is killed again and again, and publishers repeat what had no answer: each
// client, staying or coming back, hears every number once and in order, is told no
// gap, and is never sent away.
func TestChaosKills(t *testing.T) {
	redis := redistest.Start(t, durable...)
	c := newChaos(t, 2, redis.URL()+chaosHistory, server.Options{})
	c.steady(clientsEach(2))
	c.hopping(clientsEach(2))
	c.publish(true)
	for range faults(30) {
		c.goesOn()
		time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond) // a fault comes at any moment
		redis.Kill()
		redis.Restart()
	}
	c.goesOn()
	c.finish(true, true)
}

// The links of subscribers are cut again and again, or go silent: what is lost is
// filled in, and nobody is told anything.
func TestChaosLinks(t *testing.T) {
	redis := redistest.Start(t)
	proxy := redistest.StartProxy(t, redis.Addr())
	c := newChaos(t, 1, proxy.URL()+chaosHistory, server.Options{})
	c.steady(clientsEach(2))
	c.hopping(clientsEach(1))
	c.publish(true)
	for i := range faults(20) {
		c.goesOn()
		switch {
		case i%10 == 9:
			proxy.Silence()
			c.awaitReady(c.nodes[0], http.StatusServiceUnavailable)
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

func (c *chaos) awaitReady(n *node, want int) {
	c.t.Helper()
	n.awaitReady(want)
}

// Where Redis loses what it has acknowledged, every client is told, at that place,
// and none is told that it recovered what it did not.
func TestChaosLosses(t *testing.T) {
	for _, loss := range []struct {
		name string
		args []string
		make func(*redistest.Server)
	}{
		{"no persistence", nil, func(s *redistest.Server) { s.Restart() }},
		{"everysec", []string{"--appendonly", "yes", "--appendfsync", "everysec"}, func(s *redistest.Server) { s.Restart() }},
		{"FLUSHALL", nil, func(s *redistest.Server) { s.MustDo("FLUSHALL") }},
		{"deleted", nil, func(s *redistest.Server) { s.MustDo("DEL", "__pregon:h:c") }},
		{"expired", nil, func(s *redistest.Server) { s.MustDo("PEXPIRE", "__pregon:h:c", "1") }},
		{"evicted", []string{"--maxmemory-policy", "allkeys-lru"}, func(s *redistest.Server) {
			s.MustDo("CONFIG", "SET", "maxmemory", "1")
			s.MustDo("CONFIG", "SET", "maxmemory", "0")
		}},
	} {
		t.Run(loss.name, func(t *testing.T) {
			redis := redistest.Start(t, loss.args...)
			c := newChaos(t, 1, redis.URL()+chaosHistory, server.Options{})
			c.steady(1)
			c.hopping(1)
			c.publish(false)
			for range faults(5) {
				c.goesOn()
				c.heard()
				loss.make(redis)
			}
			c.goesOn()
			if c.finish(false, false) == 0 {
				t.Error("nobody was told anything")
			}
		})
	}
}

// A channel whose history has a hole of its own is told one gap, and goes on.
func TestChaosHole(t *testing.T) {
	redis := redistest.Start(t)
	n := start(t, server.Options{Broker: open(t, redis.URL()+chaosHistory)})
	c := n.ws("/ws/c?format=json")
	n.publish("c", "1")
	first := read(t, c)
	entry := strings.Fields(redis.MustDo("XREVRANGE", "__pregon:h:c", "+", "-", "COUNT", "1"))
	var epoch, seq uint64
	for _, word := range entry {
		if _, err := fmt.Sscanf(strings.Trim(word, `"[]`), "%d-%d", &epoch, &seq); err == nil {
			break
		}
	}
	if epoch == 0 {
		t.Fatalf("no entry in %q, after %s", entry, first)
	}
	redis.MustDo("XADD", "__pregon:h:c", fmt.Sprintf("%d-%d", epoch, seq+5), "m", "d"+"by hand")
	n.publish("c", "2")
	for _, want := range []string{`"gap"`, `"by hand"`, `"2"`} {
		if got := read(t, c); !strings.Contains(got, want) {
			t.Errorf("got %s, want something with %s", got, want)
		}
	}
}

// Nodes are stopped and replaced, one after the other, under load: clients come
// back to another and miss nothing.
func TestChaosRollingRestart(t *testing.T) {
	redis := redistest.Start(t)
	url := redis.URL() + chaosHistory
	c := newChaos(t, 3, url, server.Options{DrainTime: 200 * time.Millisecond})
	c.hopping(clientsEach(2))
	for range clientsEach(2) {
		c.add("ws json", func(ctx context.Context, ch *checker) { listenWS(ctx, c, "json", forever, ch) })
		c.add("sse", func(ctx context.Context, ch *checker) { listenSSE(ctx, c, forever, ch) })
	}
	c.publish(true)
	for i := range faults(6) {
		c.goesOn()
		c.replace(i%3, server.Options{Broker: open(t, url), DrainTime: 200 * time.Millisecond})
		c.heard()
	}
	c.finish(true, false)
}

// replace stops a node, whose place another has taken before.
func (c *chaos) replace(i int, o server.Options) {
	fresh := start(c.t, o)
	c.mu.Lock()
	old := c.nodes[i]
	c.nodes[i] = fresh
	c.mu.Unlock()
	old.stop()
}
