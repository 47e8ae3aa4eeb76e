package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// durable has a server write and sync each change before it answers.
var durable = []string{"--appendonly", "yes", "--appendfsync", "always"}

// eventually publishes until Redis accepts it. An unknown outcome is a failure.
func eventually(t testing.TB, b broker.Broker, channel, text string) broker.Position {
	t.Helper()
	for ctx := guard(t); ; {
		r, err := b.Publish(ctx, broker.Message{Channel: channel, Data: []byte(text)})
		if err == nil {
			return r.Position
		}
		if !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal(err)
		}
	}
}

// A new epoch begins where numbers could be given twice, and nowhere else.
func TestEpoch(t *testing.T) {
	t.Parallel()
	restart := func(s *redistest.Server) { s.Restart() }
	everysec := []string{"--appendonly", "yes", "--appendfsync", "everysec"}
	for _, c := range []struct {
		name   string
		args   []string
		happen func(*redistest.Server)
		kept   bool
	}{
		{"nothing", nil, func(*redistest.Server) {}, true},
		{"SCRIPT FLUSH", nil, func(s *redistest.Server) { s.MustDo("SCRIPT", "FLUSH") }, true},
		{"FLUSHALL", nil, func(s *redistest.Server) { s.MustDo("FLUSHALL") }, false},
		{"FLUSHALL and SCRIPT FLUSH", nil, func(s *redistest.Server) { s.MustDo("FLUSHALL"); s.MustDo("SCRIPT", "FLUSH") }, false},
		{"the stream is deleted", nil, func(s *redistest.Server) { s.MustDo("DEL", "__pregon:h:chat") }, false},
		{"the run is forgotten", nil, func(s *redistest.Server) { s.MustDo("DEL", "__pregon:run"); s.MustDo("SCRIPT", "FLUSH") }, false},
		{"killed, nothing saved", nil, restart, false},
		{"killed, saved each second", everysec, restart, false},
		{"killed, saved always", durable, restart, true},
		{"saved always, FLUSHALL, killed", durable, func(s *redistest.Server) { s.MustDo("FLUSHALL"); s.Restart() }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t, c.args...)
			nodes := []*redis.Broker{newBroker(t, keeping(server.Addr())), newBroker(t, keeping(server.Addr()))}
			var before []broker.Position
			for i := range 6 {
				before = append(before, keep(t, nodes[i%2], "chat", fmt.Sprint(i)))
			}
			c.happen(server)
			last := before[len(before)-1]
			for i := range 6 {
				p := eventually(t, nodes[i%2], "chat", fmt.Sprint(i))
				switch {
				case i == 0 && !c.kept && (p.Epoch <= last.Epoch || p.Seq != 0):
					t.Fatalf("after %v comes %v, want a new epoch", last, p)
				case (i > 0 || c.kept) && !last.Next(p):
					t.Fatalf("after %v comes %v, want the next", last, p)
				}
				last = p
			}
			node := newBroker(t, keeping(server.Addr()))
			if p := keep(t, node, "chat", "a new node"); !last.Next(p) && c.name != "FLUSHALL" {
				t.Errorf("a new node goes on with %v after %v", p, last)
			}
			page := history(t, node, "chat", before[5], 100)
			if page.Complete != slices.ContainsFunc(history(t, node, "chat", broker.Position{}, 100).Messages,
				func(m broker.Message) bool { return m.Position == before[5] }) {
				t.Errorf("after %v: complete %v", before[5], page.Complete)
			}
		})
	}
}

// Where the end of the append-only file is lost, a node begins a new epoch by what
// it has published or heard itself, and the others go on in that.
func TestEpochEndLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		heard bool          // the node that goes on has heard the message, and has not published it
		ahead bool          // the stream has an epoch of the future
		idle  time.Duration // in which the stream is only asked for
	}{
		{name: "published"},
		{name: "heard", heard: true},
		{name: "heard, in an epoch of the future", heard: true, ahead: true},
		{name: "long ago", idle: 1200 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t, durable...)
			o := keeping(server.Addr())
			o.History.MaxAge = time.Second
			nodes := []*redis.Broker{newBroker(t, o), newBroker(t, o)}
			next := nodes[0]
			if c.ahead {
				server.MustDo("XADD", "__pregon:h:chat", fmt.Sprintf("%d-0", time.Now().Add(12*time.Hour).UnixMicro()), "m", "d")
			}
			var feed broker.Feed
			if c.heard {
				next = nodes[1]
				feed = newFeed(t, next, "chat")
			}
			keep(t, nodes[1], "chat", "1")
			keep(t, nodes[0], "chat", "2")
			last := keep(t, nodes[0], "chat", "3")
			if c.heard {
				hearUpTo(t, feed, last)
			}
			for until := time.Now().Add(c.idle); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				if _, err := next.Newest(guard(t), "chat"); err != nil {
					t.Fatal(err)
				}
			}
			server.Kill()
			server.TruncateAOF("XADD", 1)
			server.Restart()
			p := eventually(t, next, "chat", "4")
			if p.Epoch <= last.Epoch || p.Seq != 0 {
				t.Errorf("after %v was lost comes %v, want a new epoch", last, p)
			}
			for i, n := range append(nodes, newBroker(t, o)) {
				q := eventually(t, n, "chat", fmt.Sprint(i))
				if !p.Next(q) {
					t.Errorf("node %d goes on with %v after %v", i, q, p)
				}
				p = q
			}
		})
	}
}

// hearUpTo reads f up to a position.
func hearUpTo(t *testing.T, f broker.Feed, p broker.Position) {
	t.Helper()
	for m, err := range broker.All(f) {
		if err != nil {
			t.Fatal(err)
		}
		if m.Position == p {
			return
		}
	}
}

// A first replica changes nothing.
func TestEpochFirstReplica(t *testing.T) {
	server, replica := redistest.Start(t, "--repl-diskless-sync-delay", "0"), redistest.Start(t)
	last := keep(t, newBroker(t, keeping(server.Addr())), "chat", "1")
	host, port, _ := strings.Cut(server.Addr(), ":")
	replica.MustDo("REPLICAOF", host, port)
	eventuallyTrue(t, "the replica does not get the stream", func() bool { return replica.MustDo("EXISTS", "__pregon:h:chat") == "1" })
	if p := keep(t, newBroker(t, keeping(server.Addr())), "chat", "2"); !last.Next(p) {
		t.Errorf("after %v comes %v, want the next", last, p)
	}
}

// What was trimmed, or has expired, is not lost.
func TestEpochTrimmed(t *testing.T) {
	server := redistest.Start(t, durable...)
	b := newBroker(t, keeping(server.Addr()))
	keep(t, b, "chat", "1")
	last := keep(t, b, "chat", "2")
	server.MustDo("XTRIM", "__pregon:h:chat", "MAXLEN", "0")
	server.MustDo("XADD", "__pregon:h:chat", broker.Position{Epoch: last.Epoch, Seq: last.Seq + 1}.String(), "m", "d")
	server.Restart()
	if p := eventually(t, b, "chat", "3"); p.Epoch != last.Epoch {
		t.Errorf("after %v comes %v, want the same epoch", last, p)
	}
}

// A server whose append-only file was not synced always for all of a run does not
// keep its epoch, even if it would now.
func TestEpochNotAlwaysDurable(t *testing.T) {
	server := redistest.Start(t, durable...)
	b := newBroker(t, keeping(server.Addr()))
	first := keep(t, b, "chat", "1")
	server.MustDo("CONFIG", "SET", "appendfsync", "everysec")
	server.MustDo("SCRIPT", "FLUSH")
	if p := keep(t, b, "chat", "2"); !first.Next(p) {
		t.Errorf("after %v comes %v", first, p)
	}
	server.Restart()
	if p := eventually(t, b, "chat", "3"); p.Epoch <= first.Epoch || p.Seq != 0 {
		t.Errorf("after %v comes %v, want a new epoch", first, p)
	}
}

// A replica that takes over begins a new epoch, though it saves always.
func TestEpochPromoted(t *testing.T) {
	args := append([]string{"--repl-diskless-sync-delay", "0"}, durable...)
	master, replica := redistest.Start(t, args...), redistest.Start(t, args...)
	a, b := newBroker(t, keeping(master.Addr())), newBroker(t, keeping(replica.Addr()))
	first := keep(t, a, "chat", "1")
	host, port, _ := strings.Cut(master.Addr(), ":")
	replica.MustDo("REPLICAOF", host, port)
	for deadline := time.Now().Add(20 * time.Second); replica.MustDo("EXISTS", "__pregon:h:chat") == "0"; {
		if time.Now().After(deadline) {
			t.Fatal("the replica does not get the stream")
		}
		time.Sleep(10 * time.Millisecond)
	}
	if _, err := b.Publish(guard(t), broker.Message{Channel: "chat"}); !errors.Is(err, broker.ErrUnavailable) {
		t.Errorf("publishing to the replica: error %v, want one that matches ErrUnavailable", err)
	}
	replica.MustDo("REPLICAOF", "NO", "ONE")
	if p := keep(t, b, "chat", "2"); p.Epoch <= first.Epoch || p.Seq != 0 {
		t.Errorf("after %v comes %v, want a new epoch", first, p)
	}
}

// However often Redis is killed while messages are published: where it saves
// always, each that was acknowledged is kept once, in order, without holes. Those
// with an unknown outcome are published again with their keys, and are kept once.
func TestKillsKeepHistory(t *testing.T) {
	t.Parallel()
	const kills, callers = 5, 8
	server := redistest.Start(t, durable...)
	o := keeping(server.Addr())
	o.History.MaxMessages = 1_000_000
	b := newBroker(t, o)
	feed := newFeed(t, newBroker(t, o), "chat")
	var mu sync.Mutex
	receipts := map[broker.Position]string{}
	uncertain, repeated := 0, 0
	quit := make(chan struct{})
	var running sync.WaitGroup
	for c := range callers {
		running.Go(func() {
			for i := 0; !isOver(quit); i++ {
				m := broker.Message{Channel: "chat", Data: fmt.Appendf(nil, "%d %d", c, i)}
				m.Key = string(m.Data)
				for {
					r, err := b.Publish(guard(t), m)
					mu.Lock()
					if err == nil {
						if r.Repeated {
							repeated++
						}
						receipts[r.Position] = string(m.Data)
						mu.Unlock()
						break
					}
					if errors.Is(err, broker.ErrUncertain) {
						uncertain++
					} else if !errors.Is(err, broker.ErrUnavailable) {
						t.Error(err)
						mu.Unlock()
						return
					}
					mu.Unlock()
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range kills {
		time.Sleep(300 * time.Millisecond)
		server.Restart()
	}
	time.Sleep(100 * time.Millisecond)
	close(quit)
	running.Wait()
	var after broker.Position
	for _, m := range history(t, b, "chat", broker.Position{}, 1).Messages {
		after = broker.Position{Epoch: m.Position.Epoch}
	}
	kept := history(t, b, "chat", broker.Position{Epoch: 1}, 1).Messages // the oldest
	for more := true; more; {
		page := history(t, b, "chat", kept[len(kept)-1].Position, 10_000)
		if !page.Complete {
			t.Fatal("a page is not complete")
		}
		kept, more = append(kept, page.Messages...), page.More
	}
	t.Logf("%d kept, %d receipts, %d unknown outcomes, %d were there", len(kept), len(receipts), uncertain, repeated)
	texts := map[string]bool{}
	for i, m := range kept {
		text := string(m.Data)
		if texts[text] || receipts[m.Position] != text {
			t.Fatalf("%q at %v is kept twice or not as its receipt says, %q", text, m.Position, receipts[m.Position])
		}
		texts[text] = true
		if want := (broker.Position{Epoch: after.Epoch, Seq: uint64(i)}); m.Position != want {
			t.Fatalf("message %d is at %v, want %v", i, m.Position, want)
		}
	}
	if len(kept) != len(receipts) {
		t.Errorf("%d messages are kept, want %d", len(kept), len(receipts))
	}
	heardOnce(t, feed, receipts)
}

// heardOnce fails the test unless what f has heard agrees with the receipts, in
// order.
func heardOnce(t *testing.T, f broker.Feed, receipts map[broker.Position]string) {
	t.Helper()
	time.AfterFunc(time.Second, func() { f.Close() })
	var last broker.Position
	n := 0
	for m, err := range broker.All(f) {
		if err != nil {
			continue // a gap
		}
		if receipts[m.Position] != string(m.Data) || last.Compare(m.Position) >= 0 {
			t.Fatalf("heard %q at %v after %v, its receipt has %q", m.Data, m.Position, last, receipts[m.Position])
		}
		last = m.Position
		n++
	}
	t.Logf("%d heard", n)
}

func isOver(quit chan struct{}) bool {
	select {
	case <-quit:
		return true
	default:
		return false
	}
}

// What a master has accepted after another had taken its place is lost. The node
// that published it finds out, and begins a new epoch for all, so that everybody is
// told who was on the new master before.
func TestEpochLateOnOldMaster(t *testing.T) {
	before, after := redistest.Start(t, "--repl-diskless-sync-delay", "0"), redistest.Start(t)
	host, port, _ := strings.Cut(before.Addr(), ":")
	after.MustDo("REPLICAOF", host, port)
	watch := []*sentinel{startSentinel(t, before.Addr()), startSentinel(t, before.Addr())}
	var nodes []*redis.Broker
	for _, w := range watch {
		o := keeping(w.Addr())
		o.Master, o.Heartbeat = "main", 50*time.Millisecond
		nodes = append(nodes, newBroker(t, o))
	}
	first := keep(t, nodes[0], "chat", "first")
	eventuallyTrue(t, "the replica does not get the stream", func() bool { return after.MustDo("EXISTS", "__pregon:h:chat") == "1" })
	after.MustDo("REPLICAOF", "NO", "ONE")
	watch[0].name(after.Addr())
	var moved broker.Position
	eventuallyTrue(t, "the first node does not move", func() bool {
		moved = attempt(t, nodes[0], "moved")
		return moved.Epoch > first.Epoch
	})
	late := keep(t, nodes[1], "chat", "late")
	if late.Epoch != first.Epoch {
		t.Fatalf("the second node has moved: %v", late)
	}
	watch[1].name(after.Addr())
	var found broker.Position
	eventuallyTrue(t, "the second node does not move", func() bool {
		found = attempt(t, nodes[1], "found")
		return !found.IsZero() && found.Epoch != first.Epoch
	})
	if found.Epoch <= moved.Epoch {
		t.Errorf("%v was lost, and after %v comes %v, want a new epoch", late, moved, found)
	}
	if p := keep(t, nodes[0], "news", "of all channels"); p.Epoch < found.Epoch {
		t.Errorf("the first node goes on with %v after %v", p, found)
	}
}

// A node whose subscription stayed with a master that was replaced, and heard of an epoch there
// that the master of its publications does not know, begins a newer one when the subscription
// moves: otherwise all that follows would be taken for what was heard before.
func TestEpochHeardOnOldMaster(t *testing.T) {
	before, after := redistest.Start(t, "--repl-diskless-sync-delay", "0"), redistest.Start(t)
	host, port, _ := strings.Cut(before.Addr(), ":")
	var nodes []*redis.Broker
	var watch []*sentinel
	users := []string{"listener", "other"}
	for _, user := range users {
		for _, s := range []*redistest.Server{before, after} {
			s.MustDo("ACL", "SETUSER", user, "on", ">secret", "~*", "&*", "+@all")
		}
		w := startSentinel(t, before.Addr())
		o := keeping(w.Addr())
		o.Username, o.Password = user, "secret"
		o.Master, o.Heartbeat = "main", time.Minute // a link notices nothing by itself
		nodes, watch = append(nodes, newBroker(t, o)), append(watch, w)
	}
	after.MustDo("REPLICAOF", host, port)
	listener := nodes[0]
	f := newFeed(t, listener, "chat")
	first := keep(t, listener, "chat", "first")
	hear(t, f, "chat", "first")
	eventuallyTrue(t, "the replica does not get the stream", func() bool { return after.MustDo("EXISTS", "__pregon:h:chat") == "1" })
	after.MustDo("REPLICAOF", "NO", "ONE")

	move := func(n int, from, to *redistest.Server, text string, than broker.Position) (p broker.Position) {
		watch[n].name(to.Addr())
		eventuallyTrue(t, text+": the node does not move", func() bool {
			from.MustDo("CLIENT", "KILL", "USER", users[n], "TYPE", "normal")
			p = attempt(t, nodes[n], text)
			return p.Epoch > than.Epoch
		})
		return p
	}
	moved := move(0, before, after, "moved", first)
	move(1, before, after, "moved too", first)
	lost := move(1, after, before, "lost", moved)
	for heard := false; !heard; {
		m, err := f.Next()
		heard = err == nil && m.Position == lost
	}
	if p := keep(t, listener, "chat", "behind"); p.Epoch >= lost.Epoch {
		t.Fatalf("the publications of the node have moved: %v", p)
	}
	before.MustDo("CLIENT", "KILL", "TYPE", "pubsub")
	hearGap(t, f, "chat")
	if p := keep(t, listener, "chat", "found"); p.Epoch <= lost.Epoch {
		t.Errorf("after %v was heard comes %v, want a new epoch", lost, p)
	}
}

// attempt publishes once. Connections may be ended meanwhile: then the position is
// zero.
func attempt(t *testing.T, b broker.Broker, text string) broker.Position {
	t.Helper()
	r, err := b.Publish(guard(t), broker.Message{Channel: "chat", Data: []byte(text)})
	if err != nil && !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUncertain) {
		t.Fatal(err)
	}
	return r.Position
}

// eventuallyTrue waits for something that comes about by itself.
func eventuallyTrue(t *testing.T, otherwise string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}
