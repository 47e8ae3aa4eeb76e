package server_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/server"
)

const (
	presenceNodes = 3
	presenceRooms = 50
	agreeWithin   = 15 * time.Second // after the last fault
	agreeAgain    = 5 * time.Second  // after the last change
	muteFor       = 6 * time.Second  // a node finds it out in four
	stoppedFor    = 10 * time.Second
)

// A presenceChaos is nodes, members that come and go, and observers that check what they are told.
type presenceChaos struct {
	t         *testing.T
	rooms     []string
	interval  time.Duration // between two changes of a member, on average
	book      *attendanceBook
	members   []*member
	observers []*observer
	faulty    atomic.Bool // there was a fault
	quiet     atomic.Bool // members stay where they are

	mu    sync.Mutex
	nodes [presenceNodes]string // addresses
}

func newPresenceChaos(t *testing.T) *presenceChaos {
	c := &presenceChaos{t: t, book: newAttendanceBook()}
	for i := range presenceRooms {
		c.rooms = append(c.rooms, fmt.Sprint("room.", i))
	}
	return c
}

func (c *presenceChaos) address(node int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[node]
}

func (c *presenceChaos) place(node int, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[node] = address
}

// begin has members and observers come, until the test ends.
func (c *presenceChaos) begin() {
	ctx, leave := context.WithCancel(context.Background())
	var running sync.WaitGroup
	c.t.Cleanup(func() { leave(); running.Wait() })
	for i := range presenceNodes {
		o := &observer{chaos: c, node: i}
		c.observers = append(c.observers, o)
		running.Go(func() { o.run(ctx) })
	}
	n := longForm(*chaosClients, 200)
	c.interval = time.Duration(n) * 5 * time.Millisecond
	for i := range n {
		m := newMember(c, i)
		c.members = append(c.members, m)
		running.Go(func() { m.run(ctx) })
	}
}

// agree ends the changes, and fails where a list is not what is really connected at the time at which
// all are to agree.
func (c *presenceChaos) agree() {
	c.t.Helper()
	last := time.Now()
	time.Sleep(agreeWithin - 2*agreeAgain) // while members come and go
	c.quiet.Store(true)
	if !await(c.isSettled) {
		c.t.Fatal("members are not where they want to be")
	}
	time.Sleep(max(agreeAgain, time.Until(last.Add(agreeWithin))))
	connections := 0
	for _, room := range c.rooms {
		there := c.book.in(room)
		for _, n := range there {
			connections += n
		}
		c.check(room, there)
	}
	c.t.Logf("all have looked at %d connections", connections)
}

func (c *presenceChaos) isSettled() bool {
	return !slices.ContainsFunc(c.members, func(m *member) bool { return !m.isSettled() })
}

// check fails where a list of a room is not what it is to be.
func (c *presenceChaos) check(room string, there map[string]int) {
	c.t.Helper()
	for i, o := range c.observers {
		if err := checkList(c.address(i), room, there); err != nil {
			c.t.Errorf("node %d, %s: %v", i, room, err)
		}
		if err := o.check(room, there); err != nil {
			c.t.Errorf("an observer on node %d, %s: %v", i, room, err)
		}
	}
}

// conclude reports what observers have found.
func (c *presenceChaos) conclude() {
	left := 0
	for _, o := range c.observers {
		o.mu.Lock()
		left += o.left
		for _, w := range o.wrong {
			c.t.Error(w)
		}
		o.mu.Unlock()
	}
	c.t.Logf("observers were told of %d that have left", left)
}

// admits fails where an observer on a node that is cut off believes that it knows all.
func (c *presenceChaos) admits(node int) {
	c.t.Helper()
	if n := c.observers[node].claims(); n > 0 {
		c.t.Errorf("node %d has been cut off for %s, and an observer has %d lists that are said to be complete", node, muteFor, n)
	}
}

// run has members come and go without a fault, and then with faults, of which each kind comes once
// before any does again.
func (c *presenceChaos) run(kinds []hurt) {
	c.t.Helper()
	c.begin()
	c.t.Cleanup(c.conclude)
	time.Sleep(3 * time.Second)
	c.faulty.Store(true)
	short := len(kinds)
	if testing.Short() {
		short = 2
	}
	rng := rand.New(rand.NewPCG(13, 1))
	var order []int
	for range faults(short) {
		if len(order) == 0 {
			order = rng.Perm(len(kinds))
		}
		time.Sleep(time.Duration(rng.IntN(1000)) * time.Millisecond)
		c.t.Log(kinds[order[0]].name)
		kinds[order[0]].make()
		order = order[1:]
	}
	c.agree()
}

// Members come and go in 50 channels on three nodes, each in a process of its own behind a proxy. Nodes
// are killed and stopped, links are cut, a node is muted, and Redis is killed: 15 s after the
// last of these the lists of all nodes and all observers are what is really connected. An observer on a node
// that is muted is told that it does not know all, and before the first fault nobody is said to
// have left who is there. -chaos.clients 2000 -chaos.faults 100 is the long form.
func TestChaosPresence(t *testing.T) {
	t.Parallel()
	program := buildPregon(t)
	redis := redistest.Start(t)
	c := newPresenceChaos(t)
	var running [presenceNodes]*process
	var proxies [presenceNodes]*redistest.Proxy
	for i := range running {
		proxies[i] = redistest.StartProxy(t, redis.Addr())
		running[i] = startPregon(t, program, proxies[i].URL())
		c.place(i, running[i].addr)
	}
	rng := rand.New(rand.NewPCG(13, 2))
	anyNode := func() int { return rng.IntN(presenceNodes) }
	c.run([]hurt{
		{"a node is killed", func() {
			i := anyNode()
			running[i].kill()
			running[i] = startPregon(t, program, proxies[i].URL())
			c.place(i, running[i].addr)
		}},
		{"a node is stopped", func() {
			i := anyNode()
			running[i].signal(syscall.SIGSTOP)
			time.Sleep(stoppedFor)
			running[i].signal(syscall.SIGCONT)
		}},
		{"a link is cut", func() { proxies[anyNode()].Cut() }},
		{"a node is muted", func() {
			i := anyNode()
			proxies[i].Mute()
			time.Sleep(muteFor)
			c.admits(i)
			proxies[i].Restore()
		}},
		{"Redis is killed", redis.Restart},
	})
}

// The same holds on a broker in memory, where nodes stop and are replaced, and a broker loses, without
// saying so, all that a node publishes, or all that it is to hear.
func TestChaosPresenceInMemory(t *testing.T) {
	t.Parallel()
	bus := memory.NewBus()
	c := newPresenceChaos(t)
	var running [presenceNodes]*node
	var brokers [presenceNodes]*lossyBroker
	begin := func(i int) {
		b := &lossyBroker{Broker: bus.Broker()}
		t.Cleanup(func() { _ = b.Close() })
		brokers[i], running[i] = b, start(t, server.Options{Broker: b})
		c.place(i, running[i].addr)
	}
	for i := range running {
		begin(i)
	}
	rng := rand.New(rand.NewPCG(13, 3))
	cutOff := func(way func(*lossyBroker) *atomic.Bool) func() {
		return func() {
			i := rng.IntN(presenceNodes)
			way(brokers[i]).Store(true)
			time.Sleep(muteFor)
			c.admits(i)
			way(brokers[i]).Store(false)
		}
	}
	c.run([]hurt{
		{"a node stops", func() {
			i := rng.IntN(presenceNodes)
			running[i].stop()
			begin(i)
		}},
		{"a node is muted", cutOff(func(b *lossyBroker) *atomic.Bool { return &b.mute })},
		{"a node is deaf", cutOff(func(b *lossyBroker) *atomic.Bool { return &b.deaf })},
	})
}

// A lossyBroker loses messages without saying so.
type lossyBroker struct {
	broker.Broker
	mute, deaf atomic.Bool
}

func (b *lossyBroker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if b.mute.Load() {
		return broker.Receipt{}, nil
	}
	return b.Broker.Publish(ctx, m)
}

func (b *lossyBroker) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := b.Broker.Feed(ctx)
	if err != nil {
		return nil, err
	}
	return &lossyFeed{Feed: f, deaf: &b.deaf}, nil
}

type lossyFeed struct {
	broker.Feed
	deaf *atomic.Bool
}

func (f *lossyFeed) Next() (broker.Message, error) {
	for {
		m, err := f.Feed.Next()
		if err != nil || !f.deaf.Load() {
			return m, err
		}
	}
}
