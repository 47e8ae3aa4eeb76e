package nats_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/brokertest"
	"github.com/pregon/pregon/broker/nats"
	"github.com/pregon/pregon/broker/redis/redistest"
	natstest "github.com/pregon/pregon/testdata/nats"
)

// started starts a cluster of three and returns when a stream can be kept by all of them.
func started(t *testing.T) natstest.Cluster {
	t.Helper()
	c := natstest.StartCluster(t, 3)
	ready(t, c)
	return c
}

// ready returns when each server of a cluster stores and reads.
func ready(t *testing.T, c natstest.Cluster) {
	t.Helper()
	for i, s := range c {
		b := opened(t, nats.Options{Servers: []string{s.Addr()}, Prefix: "ready.", History: fiveMinutes, Replicas: 3})
		at := say(t, b, "c", fmt.Sprint(i))
		h, _ := broker.HistoryOf(b)
		if newest, err := h.Newest(t.Context(), "c"); err != nil || newest[0] != at {
			t.Errorf("server %d: the newest is %v, %v; want %v", i, newest, err, at)
		}
		_ = b.Close()
	}
}

// With a history on three servers the driver keeps the contract, with nodes on each of them: where links are cut, and
// where all servers are killed.
func TestConformanceCluster(t *testing.T) {
	t.Parallel()
	cluster := started(t)
	var proxies []*redistest.Proxy
	for _, s := range cluster {
		proxies = append(proxies, redistest.StartProxy(t, s.Addr()))
	}
	backends := 0
	brokertest.Run(t, func(t *testing.T) func(t *testing.T) broker.Broker {
		backends++
		ready(t, cluster) // also after all were killed
		o := nats.Options{Prefix: fmt.Sprintf("b%d.", backends), History: broker.Retention{MaxMessages: 10_000, MaxAge: 5 * time.Minute}, Replicas: 3, Heartbeat: 5 * time.Second, Timeout: 10 * time.Second}
		nodes := 0
		return func(t *testing.T) broker.Broker {
			nodes++
			o.Servers = []string{proxies[nodes%3].Addr()}
			return opened(t, o)
		}
	}, brokertest.WithCut(func(*testing.T, broker.Broker) {
		for _, p := range proxies {
			p.Cut()
		}
	}), brokertest.WithDown(func(*testing.T, broker.Broker) (up func()) {
		cluster.Kill()
		return cluster.Restart
	}))
}

// Whichever server of three is killed, while messages are published through the others: what is acknowledged is kept, and heard once
// and in order, or a gap is told ahead of what comes next.
func TestClusterLosesNothing(t *testing.T) {
	t.Parallel()
	cluster := started(t)
	o := nats.Options{History: broker.Retention{MaxMessages: 100_000, MaxAge: time.Hour}, Replicas: 3, Heartbeat: 300 * time.Millisecond}
	for _, s := range cluster {
		o.Servers = append(o.Servers, s.Addr())
	}
	publisher, reader := opened(t, o), opened(t, o)
	defer publisher.Close()
	defer reader.Close()
	f := listen(t, reader, "c")
	first := say(t, publisher, "c", "0")
	acknowledged := map[broker.Position]bool{}
	for i := range 3 {
		done := make(chan struct{})
		go func() {
			defer close(done)
			cluster[i].Kill()
			cluster[i].Restart()
		}()
		for n, over := 0, false; !over || n < 50; n++ {
			receipt, err := publisher.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte("x"), Key: fmt.Sprint(i, ".", n)})
			for began := time.Now(); err != nil; receipt, err = publisher.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte("x"), Key: fmt.Sprint(i, ".", n)}) {
				if time.Since(began) > 30*time.Second {
					t.Fatal(err)
				}
			}
			acknowledged[receipt.Position] = true
			select {
			case <-done:
				over = true
			default:
			}
		}
		<-done
	}
	end := say(t, publisher, "c", "end")
	acknowledged[end] = true
	defer goOn(t, publisher)()
	hearTo(t, f, first, end)
	for after := first; after.Compare(end) < 0; {
		page := behind(t, reader, "c", after)
		if !page.Complete || len(page.Messages) == 0 {
			t.Fatalf("behind %v, which is kept: %d messages, complete %v", after, len(page.Messages), page.Complete)
		}
		for _, m := range page.Messages {
			if !m.Follows(after) {
				t.Fatalf("behind %v comes %v, which follows %v", after, m.Position, m.Prev)
			}
			after = m.Position
			delete(acknowledged, m.Position)
		}
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d acknowledged messages are not in the history", len(acknowledged))
	}
}

// goOn publishes to c until stop is called: a route between servers that has just come back may lose what is on it, and it is the
// next message of the channel that shows it. See the driver's documentation.
func goOn(t *testing.T, b broker.Broker) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_, _ = b.Publish(ctx, broker.Message{Channel: "c", Data: []byte("next")}) // as often as it is taken
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); running.Wait() }
}

// hearTo reads a feed to the message at end, or one behind it: in order, nothing twice, and nothing missing that no gap tells of.
func hearTo(t *testing.T, f broker.Feed, last, end broker.Position) {
	t.Helper()
	told := true
	for last.Compare(end) < 0 {
		m, err := f.Next()
		switch {
		case isGap(err):
			told = true
		case err != nil:
			t.Fatal(err)
		case m.Position.Compare(last) <= 0 && !told:
			t.Fatalf("%v is heard behind %v", m.Position, last)
		case m.Position.Compare(last) > 0:
			if !told && !m.Follows(last) {
				t.Logf("%v, which follows %v, is heard behind %v: its reader sees the hole", m.Position, m.Prev, last)
			}
			last, told = m.Position, false
		}
	}
}

// A cluster is refused where only one of its servers keeps the history.
func TestClusterNeedsReplicas(t *testing.T) {
	b := node(t, nats.Options{}, natstest.StartCluster(t, 1)[0])
	if _, err := b.Publish(t.Context(), broker.Message{Channel: "a"}); !errors.Is(err, broker.ErrDenied) {
		t.Error(err)
	}
}
