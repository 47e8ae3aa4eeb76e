package redis_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// Redis is killed and started again while messages are published: nothing is
// heard twice or out of order, what was accepted and not heard lies in a gap that
// was reported, and afterwards messages flow again.
func TestKillUnderLoad(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	l := startLoad(t, server)
	f := newFeed(t, newBroker(t, options(server.Addr())), "load")
	heard := listen(f)
	l.begin()
	for range 5 {
		await(t, heard.more)
		server.Restart()
		back := time.Now()
		await(t, heard.gap)
		await(t, heard.more)
		t.Logf("messages again %v after Redis was back", time.Since(back).Round(time.Millisecond))
	}
	accepted := l.end()
	publish(t, l.broker, "load", "0") // the last
	heard.check(t, accepted)
}

// A load publishes the numbers from 1 upwards to the channel load.
type load struct {
	t        *testing.T
	broker   broker.Broker
	quit     chan struct{}
	running  sync.WaitGroup
	accepted []int
}

func startLoad(t *testing.T, server *redistest.Server) *load {
	return &load{t: t, broker: newBroker(t, options(server.Addr())), quit: make(chan struct{})}
}

func (l *load) begin() {
	ctx := guard(l.t)
	l.running.Go(func() {
		pace := time.NewTicker(200 * time.Microsecond)
		defer pace.Stop()
		for n := 1; ; n++ {
			select {
			case <-l.quit:
				return
			case <-pace.C:
			}
			_, err := l.broker.Publish(ctx, broker.Message{Channel: "load", Data: strconv.AppendInt(nil, int64(n), 10)})
			switch {
			case err == nil:
				l.accepted = append(l.accepted, n)
			case !errors.Is(err, broker.ErrUnavailable) && !errors.Is(err, broker.ErrUncertain):
				l.t.Errorf("publish: %v", err)
				return
			}
		}
	})
}

func (l *load) end() (accepted []int) {
	close(l.quit)
	l.running.Wait()
	return l.accepted
}

// What a heardLoad has between numbers where there was a gap, and how many
// messages in a row are called a flow.
const (
	gapMark = -1
	flow    = 100
)

// A heardLoad is what came out of a Feed, up to the number 0.
type heardLoad struct {
	more, gap chan struct{} // have a token when messages flow, after a gap
	done      chan struct{}
	events    []int // numbers and gapMarks
	err       error
}

func listen(f broker.Feed) *heardLoad {
	h := &heardLoad{more: make(chan struct{}, 1), gap: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(h.done)
		row := 0
		for m, err := range broker.All(f) {
			if err != nil {
				h.events = append(h.events, gapMark)
				row = 0
				select { // what flowed before the gap does not count
				case <-h.more:
				default:
				}
				signal(h.gap)
				continue
			}
			n, err := strconv.Atoi(string(m.Data))
			if err != nil || n == 0 {
				h.err = err
				return
			}
			h.events = append(h.events, n)
			if row++; row%flow == 0 {
				signal(h.more)
			}
		}
	}()
	return h
}

func await(t *testing.T, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-guard(t).Done():
		t.Fatal("nothing happens")
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (h *heardLoad) check(t *testing.T, accepted []int) {
	t.Helper()
	await(t, h.done)
	if h.err != nil {
		t.Fatal(h.err)
	}
	last, gap, lost := 0, false, 0
	for _, n := range append(h.events, accepted[len(accepted)-1]+1) {
		if n == gapMark {
			gap = true
			continue
		}
		if n <= last {
			t.Fatalf("%d was heard after %d", n, last)
		}
		from, _ := slices.BinarySearch(accepted, last+1)
		to, _ := slices.BinarySearch(accepted, n)
		if missing := to - from; missing > 0 {
			lost += missing
			if !gap {
				t.Fatalf("%d messages between %d and %d are missing, and no gap was reported", missing, last, n)
			}
		}
		last, gap = n, false
	}
	t.Logf("%d accepted, %d events, %d lost in gaps", len(accepted), len(h.events), lost)
}

// While Redis is away the link is said to be down, and afterwards to stand again.
func TestLinkIsSaidToBeDown(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	b := newBroker(t, options(server.Addr()))
	becomes := func(up bool, restored uint64) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(time.Millisecond) {
			now := b.Link()
			if now.Up == up && now.Restored == restored {
				return
			}
			if time.Since(began) > time.Minute {
				t.Fatalf("%+v, want up %v and restored %d", now, up, restored)
			}
		}
	}
	becomes(true, 0) // there is nobody yet that a lost link could concern
	f := newFeed(t, b, "c")
	becomes(true, 0)
	server.Kill()
	becomes(false, 0)
	server.Restart()
	becomes(true, 1)
	_ = f.Close()
	server.Kill()
	becomes(true, 1)
}
