package server_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
)

// Sessions change among so many channels, have up to so many at once, and together
// change so often.
const (
	changingChannels = 100
	mostAtOnce       = 10
	changeInterval   = 3 * time.Millisecond
)

// Sessions change among 100 channels at random, and begin live, where they were or with
// the newest messages, while links are cut: in each of its stays in a channel a session
// hears every message from its beginning on, once and in order, and outside of them none.
// -chaos.clients 1000 -chaos.faults 30 is the long form.
func TestSessionsThatChange(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	proxy := redistest.StartProxy(t, redis.Addr())
	n := start(t, onHistory(t, proxy.URL()))
	c := newChaos(t, n.addr)
	for channel := chaosChannels; channel < changingChannels; channel++ {
		c.load.addPosting(channel)
	}
	c.load.pace(longForm(*chaosRate, 200))
	c.load.remembers = true
	c.load.begin()
	crowd := newCrowd(c, n.server.Client(transport.Identity{}), longForm(*chaosClients, 100))
	c.publish(true)
	for i := range faults(6) {
		c.goesOn()
		aMoment()
		if i%2 == 0 {
			redis.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
		} else {
			proxy.Cut()
		}
	}
	c.goesOn()
	crowd.settle()
	c.load.stop()
	crowd.finish()
	t.Log(c.load.summary(0))
}

// A crowd is sessions that change.
type crowd struct {
	chaos    *chaos
	sockets  *socket.Group
	changers []*changer
	quiet    context.CancelFunc // ends the changes
	changing sync.WaitGroup
}

// newCrowd begins sessions of a client.
func newCrowd(c *chaos, client transport.Client, sessions int) *crowd {
	ctx, quiet := context.WithCancel(context.Background())
	crowd := &crowd{chaos: c, quiet: quiet,
		sockets: socket.NewGroup(socket.Limits{Bytes: 64 << 20, Messages: 1 << 20, WriteTimeout: patience, Linger: patience})}
	c.t.Cleanup(crowd.settle)
	l, err := net.Listen("unix", filepath.Join(c.t.TempDir(), "s"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer l.Close()
	for i := range sessions {
		ch := crowd.join(l, client, i)
		crowd.changers = append(crowd.changers, ch)
		crowd.changing.Go(func() { ch.change(ctx, time.Duration(sessions)*changeInterval) })
	}
	return crowd
}

// join begins a session and reads what it is sent.
func (c *crowd) join(l net.Listener, client transport.Client, i int) *changer {
	t := c.chaos.t
	peer, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := c.sockets.New()
	s.Attach(ours)
	session, err := client.Join(context.Background(), transport.Subscriber{Socket: s, Encoding: spoken{}, Control: spoken{}})
	if err != nil {
		t.Fatal(err)
	}
	s.Uncork()
	ch := &changer{chaos: c.chaos, session: session, rng: rand.New(rand.NewPCG(uint64(i), 1)),
		owed: map[string]numbers{}, stays: map[string]int{}, hears: newAttendance(), over: make(chan struct{})}
	go func() { defer close(ch.over); ch.hears.read(peer) }()
	t.Cleanup(func() {
		session.Leave()
		_ = s.Close()
		_ = peer.Close()
		<-ch.over
	})
	return ch
}

// settle ends the changes.
func (c *crowd) settle() {
	c.quiet()
	c.changing.Wait()
}

// finish waits until each session has heard all of its channels, has it leave them, and
// reports what was wrong.
func (c *crowd) finish() {
	t, newest := c.chaos.t, c.chaos.load.positions()
	stays, unopened, messages := 0, 0, 0
	for i, ch := range c.changers {
		if !await(func() bool { return ch.hears.upTo(newest) }) {
			t.Errorf("session %d does not hear all that was published: %s", i, ch.hears.state(newest))
		}
		for _, channel := range ch.channels() {
			ch.leave(channel)
		}
		ch.session.Say(said{What: "bye"}.line())
		<-ch.over
		for _, err := range ch.hears.errs[:min(5, len(ch.hears.errs))] {
			t.Errorf("session %d: %s", i, err)
		}
		stays, unopened, messages = stays+ch.hears.stays, unopened+ch.hears.unopened, messages+ch.hears.messages
	}
	t.Logf("%d sessions heard %d messages in %d stays; %d more ended before their history was read", len(c.changers), messages, stays, unopened)
}

// positions are those of the newest message of each channel that was accepted.
func (l *load) positions() map[string]broker.Position {
	newest := map[string]broker.Position{}
	for id, n := range l.newest() {
		p := l.publishers[id]
		cursor, _ := l.cursors.Load(p.text(n))
		name := channelName(p.channel)
		at, err := transport.ParseCursor(name, fmt.Sprint(cursor))
		if err != nil {
			l.chaos.t.Fatal(err)
		}
		if at.Compare(newest[name]) > 0 {
			newest[name] = at
		}
	}
	return newest
}

// A changer changes the channels of one session.
type changer struct {
	chaos   *chaos
	session transport.Session
	rng     *rand.Rand
	owed    map[string]numbers // for each of its channels, what comes behind these must be heard
	stays   map[string]int     // so far, by channel
	hears   *attendance
	over    chan struct{} // closed when nothing is heard any more
}

// Numbers are one per publisher.
type numbers map[int]int

// change joins and leaves channels, once per interval on average.
func (ch *changer) change(ctx context.Context, interval time.Duration) {
	for ; ctx.Err() == nil; pause(ctx, rand.N(2*interval)) {
		if channels := ch.channels(); ch.rng.IntN(mostAtOnce) < len(channels) {
			ch.leave(channels[ch.rng.IntN(len(channels))])
			continue
		}
		opened := ch.join(ch.rng.Perm(changingChannels)[:1+ch.rng.IntN(2)])
		if ch.rng.IntN(4) > 0 { // else it may leave before it has begun
			ch.await(ctx, opened)
		}
	}
}

// await returns when stays have begun, so that on a busy machine there are fewer changes.
func (ch *changer) await(ctx context.Context, opened []<-chan struct{}) {
	for _, o := range opened {
		select {
		case <-o:
		case <-ctx.Done():
			return
		}
	}
}

// channels are those that the session has.
func (ch *changer) channels() []string { return slices.Sorted(maps.Keys(ch.owed)) }

// join begins stays in those of some channels that the session has not, all at once. What
// it returns is closed when they have begun.
func (ch *changer) join(some []int) (opened []<-chan struct{}) {
	some = slices.DeleteFunc(some, func(channel int) bool { return ch.owed[channelName(channel)] != nil })
	subs := make([]transport.Subscription, len(some))
	for i, channel := range some {
		open := make(chan struct{})
		subs[i] = ch.subscription(channelName(channel), open)
		opened = append(opened, open)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i, err := range ch.session.Subscribe(ctx, subs...) {
		if err != nil {
			ch.hears.failf("%s is not subscribed: %v", subs[i].Channel, err)
			continue
		}
		begun := numbers{}
		for _, p := range ch.chaos.load.of(some[i]) {
			begun[p.id] = ch.chaos.load.begun(p.id)
		}
		ch.owed[subs[i].Channel] = begun
	}
	return opened
}

// subscription begins live, where the session was, or with the newest messages. It closes
// opened then.
func (ch *changer) subscription(channel string, opened chan<- struct{}) transport.Subscription {
	sub := transport.Subscription{Channel: channel}
	switch last := ch.hears.last(channel); ch.rng.IntN(3) {
	case 0:
		sub.Last = 1 + ch.rng.IntN(5)
	case 1:
		sub.Since, sub.After = last != broker.Position{}, last
	}
	ch.stays[channel]++
	open := said{What: "open", Channel: channel, Stay: ch.stays[channel]}
	sub.Answer = func(s transport.Subscribed) ([]byte, bool) {
		close(opened)
		if open.At = s.Position; sub.Since && (!s.Recovered || s.Position != sub.After) {
			return said{What: "wrong", Channel: channel, Text: fmt.Sprintf("%+v, behind %v", s, sub.After)}.line(), true
		}
		return open.line(), true
	}
	return sub
}

// leave ends a stay.
func (ch *changer) leave(channel string) {
	shut := said{What: "shut", Channel: channel, Stay: ch.stays[channel], Owed: ch.owed[channel]}
	ch.session.Unsubscribe(channel, shut.line)
	delete(ch.owed, channel)
}
