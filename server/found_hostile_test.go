package server_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A hostile program is on Redis, hears what is published there, and publishes what is to
// mislead nodes. What it says that could be taken for an honest message has a number
// that no publisher reaches, and claims a position.
type hostile struct {
	t      *testing.T
	client *goredis.Client
	heard  chan *goredis.Message
	rng    *rand.Rand
	beats  []string // channels of heartbeats
	copies []*goredis.Message
	sent   int
}

func newHostile(t *testing.T, redis *redistest.Server) *hostile {
	h := &hostile{t: t, rng: rand.New(rand.NewPCG(10, 2)), heard: make(chan *goredis.Message, 1000)}
	h.client = goredis.NewClient(&goredis.Options{Addr: redis.Addr(), Protocol: 2})
	sub := h.client.PSubscribe(context.Background(), "*")
	if _, err := sub.Receive(context.Background()); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() {
		for {
			m, err := sub.ReceiveMessage(context.Background())
			if err != nil {
				return
			}
			select {
			case h.heard <- m:
			default: // there is enough
			}
		}
	})
	t.Cleanup(func() { _ = sub.Close(); reading.Wait(); _ = h.client.Close() })
	for channel := range strings.Lines(redis.MustDo("PUBSUB", "CHANNELS", "__pregon.heartbeat.*")) {
		h.beats = append(h.beats, strings.TrimSpace(channel))
	}
	return h
}

func (h *hostile) pick(from []string) string { return from[h.rng.IntN(len(from))] }

// channel is any that some node carries.
func (h *hostile) channel() string {
	if h.rng.IntN(10) == 0 {
		return h.pick(h.beats)
	}
	return channelName(h.rng.IntN(chaosChannels))
}

// number is one that publishers do not reach.
func (h *hostile) number() string {
	return fmt.Sprintf("%d %d", h.rng.IntN(chaosChannels*eachChannel), madeUp+h.rng.IntN(1<<20))
}

func (h *hostile) position() broker.Position {
	any := func() uint64 { return h.rng.Uint64() >> h.rng.IntN(64) }
	return broker.Position{Epoch: any() | 1, Seq: any()}
}

// random publishes n envelopes of all kinds, some of which are none.
func (h *hostile) random(n int) {
	for n > 0 {
		pipe := h.client.Pipeline()
		for range min(n, 100) {
			pipe.Publish(context.Background(), h.channel(), h.envelope())
			n--
			h.sent++
		}
		if _, err := pipe.Exec(context.Background()); err != nil {
			h.t.Fatal(err)
		}
	}
}

func (h *hostile) envelope() string {
	noise := make([]byte, h.rng.IntN(80))
	for i := range noise {
		noise[i] = byte(h.rng.Uint32())
	}
	switch h.rng.IntN(7) {
	case 0:
		return "hostile " + string(noise)
	case 1:
		return "\xFFpg1p" + string(noise)
	case 2:
		return "\xFFpg1" + string(noise)
	case 3:
		return tagged(h.position().String(), string(noise), "d"+h.number())
	case 4:
		return "\xFF" + string(noise)
	default:
		return string(broker.AppendWire(nil, broker.Message{Data: []byte(h.number()), Position: h.position()}))
	}
}

// tagged is an envelope of the form that nodes believe, but for the tag.
func tagged(id, tag, fields string) string {
	return "\xFFpg1p" + string(rune(len(id))) + id + "t" + string(rune(min(len(tag), 127))) + tag + fields
}

// aim answers n times to what it has heard from nodes.
func (h *hostile) aim(n int) {
	for sent := 0; sent < n; {
		m := <-h.heard
		id, tag, fields, ok := authentic(m.Payload)
		if !ok {
			continue
		}
		p, err := broker.ParsePosition(id)
		if err != nil {
			h.t.Fatal(err)
		}
		if p.Epoch <= 1 || p.Epoch == math.MaxUint64 {
			continue // it is one of its own, and what is next to that claims nothing
		}
		h.copies = append(h.copies, m)
		old := h.copies[h.rng.IntN(len(h.copies))]
		pipe := h.client.Pipeline()
		say := func(channel, envelope string) {
			pipe.Publish(context.Background(), channel, envelope)
			sent++
			h.sent++
		}
		for _, claimed := range []broker.Position{
			{Epoch: p.Epoch, Seq: p.Seq + 1}, {Epoch: p.Epoch, Seq: p.Seq + 2}, {Epoch: p.Epoch, Seq: p.Seq + 1000}, {Epoch: p.Epoch, Seq: 1 << 52},
			{Epoch: p.Epoch + 1}, {Epoch: p.Epoch - 1, Seq: p.Seq}, {Epoch: 1}, {Epoch: math.MaxUint64, Seq: math.MaxUint64}, p,
		} {
			say(m.Channel, tagged(claimed.String(), tag, fields))
			say(m.Channel, tagged(claimed.String(), tag, "d"+h.number()))
			say(m.Channel, string(broker.AppendWire(nil, broker.Message{Data: []byte(h.number()), Position: claimed})))
		}
		say(m.Channel, m.Payload) // again
		say(h.channel(), m.Payload)
		say(old.Channel, old.Payload)
		say(m.Channel, old.Payload)
		if _, err := pipe.Exec(context.Background()); err != nil {
			h.t.Fatal(err)
		}
	}
}

// authentic takes apart what a node has published.
func authentic(wire string) (id, tag, fields string, ok bool) {
	rest, ok := strings.CutPrefix(wire, "\xFFpg1p")
	if !ok || rest == "" || len(rest) < 1+int(rest[0]) {
		return "", "", "", false
	}
	id, rest = rest[1:1+rest[0]], rest[1+rest[0]:]
	if len(rest) < 2 || rest[0] != 't' || len(rest) < 2+int(rest[1]) || strings.Contains(rest, "hostile") {
		return "", "", "", false
	}
	tag, fields = rest[2:2+rest[1]], rest[2+rest[1]:]
	_, err := broker.ParsePosition(id)
	return id, tag, fields, err == nil && len(tag) == 40
}

// beside makes a chaos on two nodes beside which the hostile program works.
func besideHostile(t *testing.T, redis *redistest.Server) (*chaos, []*node) {
	nodes := []*node{start(t, onHistory(t, redis.URL())), start(t, onHistory(t, redis.URL()))}
	c := newChaos(t, nodes[0].addr, nodes[1].addr)
	c.anything = true
	return c, nodes
}

// A program that may PUBLISH says whatever it likes on the channels of clients and of
// heartbeats: what pregon has acknowledged is heard once and in order, nobody is sent
// away or told a gap, nobody is told to be recovered who has missed something, and
// /readyz tells the truth.
func TestFoundHostileProgram(t *testing.T) {
	redis := redistest.Start(t)
	c, nodes := besideHostile(t, redis)
	c.kept = true
	c.steady(longForm(*chaosClients, 20))
	c.hopping(5)
	c.publish(true)
	h := newHostile(t, redis)
	stop := staysReady(t, nodes)
	n := longForm(*chaosHostile, 5000)
	for range 10 {
		h.random(n / 10)
		h.aim(n / 100)
	}
	c.goesOn()
	c.heard()
	stop()
	redis.MustDo("CONFIG", "SET", "maxmemory", "1")
	for _, n := range nodes {
		n.awaitReady(http.StatusServiceUnavailable)
	}
	for range 10 {
		h.random(n / 50)
		for _, m := range h.copies[max(0, len(h.copies)-100):] {
			redis.MustDo("PUBLISH", m.Channel, m.Payload)
		}
		for _, n := range nodes {
			if status, _ := n.get("/readyz"); status != http.StatusServiceUnavailable {
				t.Error("ready while nothing can be published:", status)
			}
		}
	}
	redis.MustDo("CONFIG", "SET", "maxmemory", "0")
	for _, n := range nodes {
		n.awaitReady(http.StatusOK)
	}
	c.goesOn()
	c.heard()
	for reason, n := range c.reasons() {
		t.Errorf("%d gaps were told, reason %q", n, reason)
	}
	c.finish(false, true)
	t.Logf("the hostile program has sent %d messages", h.sent)
}

// staysReady fails the test where a node is not ready until stop is called.
func staysReady(t *testing.T, nodes []*node) (stop func()) {
	var stopped atomic.Bool
	var asking sync.WaitGroup
	for _, n := range nodes {
		asking.Go(func() {
			for ; !stopped.Load(); time.Sleep(20 * time.Millisecond) {
				if status, body := n.get("/readyz"); status != http.StatusOK {
					t.Errorf("not ready though all is well: %d %s", status, body)
					return
				}
			}
		})
	}
	return func() { stopped.Store(true); asking.Wait() }
}

// One that may also add to streams adds entries everywhere: at worst there are gaps,
// publications that are refused, and new epochs. Nobody is told to be recovered who has
// missed something, and nobody hears anything twice or out of order, but for a text
// client that comes back without a cursor while its channel is filled: what was
// published shortly before it came may be sent to it, too.
func TestFoundHostileEntries(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	c, nodes := besideHostile(t, redis)
	c.rejoin = true
	c.steady(longForm(*chaosClients, 20))
	c.hopping(10)
	c.publish(true)
	h := newHostile(t, redis)
	refused := 0
	for range longForm(*chaosHostile, 10_000) / 1000 {
		c.goesOn()
		for range 10 {
			h.random(10)
			h.aim(30)
			refused += h.add()
		}
	}
	c.goesOn()
	c.heard()
	for _, n := range nodes {
		n.awaitReady(http.StatusOK)
	}
	c.finish(false, false)
	t.Logf("the hostile program has sent %d messages and added entries, of which Redis refused %d; gaps by reason %v", h.sent, refused, c.reasons())
}

// Where a program has put a channel ahead of the clock, and then at the end of all
// numbers, what a node publishes that knows nothing of it is heard by those who do.
func TestFoundHostileFuture(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"%d-9007199254740992", "%d-18446744073709551615", "18446744073709551615-%d"} {
		t.Run(end, func(t *testing.T) {
			redis := redistest.Start(t)
			knowing, other := start(t, onHistory(t, redis.URL())), start(t, onHistory(t, redis.URL()))
			c := knowing.ws("/ws/c?format=json")
			heard := func(want string) {
				t.Helper()
				for {
					if e := readEvent(t, c); e.Type == "message" && e.Data == want {
						return
					}
				}
			}
			knowing.publish("c", "1")
			heard("1")
			ahead := time.Now().Add(time.Hour).UnixMicro()
			redis.MustDo("XADD", "__pregon:h:c", fmt.Sprintf("%d-0", ahead), "m", "dhostile")
			knowing.publish("c", "2")
			heard("2")
			redis.MustDo("XADD", "__pregon:h:c", fmt.Sprintf(end, ahead), "m", "dhostile")
			other.awaitPublish("c", "3")
			heard("3")
		})
	}
}

// add adds an entry to a stream in each of several ways, and returns how many Redis
// refused.
func (h *hostile) add() (refused int) {
	newest := func(stream string) broker.Position {
		entries, err := h.client.XRevRangeN(context.Background(), stream, "+", "-", 1).Result()
		if err != nil || len(entries) == 0 {
			return broker.Position{Epoch: 1}
		}
		p, _ := broker.ParsePosition(entries[0].ID)
		return p
	}
	for range 3 {
		stream := "__pregon:h:" + h.channel()
		p := newest(stream)
		ids := []string{
			fmt.Sprintf("%d-%d", p.Epoch, p.Seq+1),
			fmt.Sprintf("%d-%d", p.Epoch, p.Seq+2),
			fmt.Sprintf("%d-%d", p.Epoch, p.Seq+1000),
			fmt.Sprintf("%d-*", p.Epoch),
			fmt.Sprintf("%d-%d", p.Epoch+1, h.rng.IntN(3)),
			fmt.Sprintf("%d-0", p.Epoch+uint64(h.rng.IntN(1e9))),
			fmt.Sprintf("%d-0", time.Now().Add(48*time.Hour).UnixMicro()),
			fmt.Sprintf("%d-%d", p.Epoch, uint64(1)<<53+uint64(h.rng.IntN(9))),
			fmt.Sprintf("%d-%d", p.Epoch, uint64(math.MaxUint64)),
			fmt.Sprintf("%d-%d", uint64(math.MaxUint64), uint64(math.MaxUint64)),
			"1-1", "*", h.position().String(),
		}
		args := []any{"XADD", stream}
		switch h.rng.IntN(6) {
		case 0:
			args = append(args, "MAXLEN", "0")
		case 1:
			args = append(args, "MAXLEN", h.rng.IntN(20))
		}
		fields := [][]any{{"m", "dhostile"}, {"m", "hostile"}, {"x", "y"}, {"m", "dhostile", "k", "0 1"}, {"m", ""}}
		args = append(append(args, h.pick(ids)), fields[h.rng.IntN(len(fields))]...)
		if h.client.Do(context.Background(), args...).Err() != nil {
			refused++
		}
	}
	return refused
}
