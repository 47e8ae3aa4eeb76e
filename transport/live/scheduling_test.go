package live_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport/live/livetest"
)

// sendMany sends n publications to a channel, with their numbers as refs and texts.
func sendMany(c *livetest.Client, channel string, from, to int) {
	for i := from; i < to; i++ {
		c.Send(fmt.Sprintf(`{"type":"publish","ref":%d,"channel":%q,"data":"%d"}`, i, channel, i))
	}
}

// What waits is published together, in its order, while other channels' commands overtake it; and a
// renew waits for all that came before and holds up all behind it.
func TestScheduling(t *testing.T) {
	t.Parallel()
	b := newGated()
	n := start(t, server.Options{Broker: b})
	c := n.dial("")
	open := b.shut("slow")
	defer open()
	sendMany(c, "slow", 0, 10)
	<-b.begun // the first is with the broker, and the others wait
	c.Send(`{"type":"subscribe","ref":"overtakes","channel":"other"}`)
	expect(t, c, `{"type":"subscribed","ref":"overtakes",`)
	c.Send(`{"type":"unsubscribe","ref":"in order","channel":"slow"}`, `{"type":"renew","ref":"barrier","token":"x"}`, `{"type":"unsubscribe","ref":"behind","channel":"third"}`,
		`{"type":"none","ref":"all was read"}`)
	expect(t, c, `{"type":"error","ref":"all was read",`)
	open()
	for i := range 10 {
		expect(t, c, fmt.Sprintf(`{"type":"published","ref":%d,`, i))
	}
	for _, want := range []string{`{"type":"unsubscribed","ref":"in order",`, `{"type":"renewed","ref":"barrier"`, `{"type":"unsubscribed","ref":"behind",`} {
		expect(t, c, want)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if all := slices.Concat(b.batches...); len(b.batches) != 2 || strings.Join(all, " ") != "0 1 2 3 4 5 6 7 8 9" {
		t.Errorf("published together: %q", b.batches)
	}
}

// While 64 commands wait nothing more is read; a client whose pongs are therefore not seen is not taken
// for gone, and what it has sent is done in the end.
func TestNothingIsReadWhileMuchWaits(t *testing.T) {
	t.Parallel()
	b := newGated()
	n := start(t, server.Options{Broker: b, PingInterval: 500 * time.Millisecond, PongTimeout: 1500 * time.Millisecond})
	c := n.dial("")
	open := b.shut("slow")
	defer open()
	sendMany(c, "slow", 0, 100)
	shut := time.Now()
	<-b.begun
	c.Send(`{"type":"none","ref":"behind them"}`)
	pings := 0
	c.SetPingHandler(func(string) error { pings++; return nil }) // none is answered
	go func() {
		time.Sleep(3 * time.Second) // longer than a client without pongs is kept, and shorter than a publication may take
		open()
	}()
	for i, last := 0, false; i < 100 || !last; {
		got := c.Next()
		if strings.HasPrefix(got, `{"type":"error","ref":"behind them",`) && time.Since(shut) > 2500*time.Millisecond {
			last = true // it overtakes what waits, when it is read
			continue
		}
		if !strings.HasPrefix(got, fmt.Sprintf(`{"type":"published","ref":%d,`, i)) {
			t.Fatalf("behind %d answers: %s after %v", i, got, time.Since(shut))
		}
		i++
	}
	if pings == 0 {
		t.Error("the client was not pinged")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, batch := range b.batches {
		if len(batch) > 64 {
			t.Errorf("batch %d has %d messages", i, len(batch))
		}
	}
}

// A subscribe that waits for the history is answered even where the channel is unsubscribed before.
func TestUnsubscribedBeforeItIsAnswered(t *testing.T) {
	t.Parallel()
	b := newGated()
	n := start(t, server.Options{Broker: b})
	n.publish("a", "one")
	c := n.dial("")
	open := b.shut("a")
	defer open()
	c.Send(`{"type":"subscribe","ref":1,"channel":"a","history":1}`, `{"type":"subscribe","ref":2,"channel":"a"}`, `{"type":"unsubscribe","ref":3,"channel":"a"}`)
	expect(t, c, `{"type":"error","ref":2,"channel":"a","status":409,"code":"already_subscribed",`)
	expect(t, c, `{"type":"error","ref":1,"channel":"a","status":409,"code":"unsubscribed",`)
	expect(t, c, `{"type":"unsubscribed","ref":3,"channel":"a"}`)
	open()
	c.Send(`{"type":"subscribe","ref":4,"channel":"a","history":1}`)
	expect(t, c, `{"type":"subscribed","ref":4,"channel":"a",`)
	expect(t, c, `{"type":"message","channel":"a","data":"one",`)
}

// A renew waits for the answer to a subscribe that waits for the history: what the new credential has no
// grant for ends behind that, and ahead of renewed.
func TestRenewWaitsForAnswers(t *testing.T) {
	t.Parallel()
	b := newGated()
	n := start(t, server.Options{Broker: b})
	n.publish("a", "one")
	c := n.dial("")
	open := b.shut("a")
	defer open()
	c.Send(`{"type":"subscribe","ref":1,"channel":"a","history":1}`, `{"type":"renew","ref":2,"token":"x"}`, `{"type":"none","ref":"all was read"}`)
	expect(t, c, `{"type":"error","ref":"all was read",`)
	open()
	expect(t, c, `{"type":"subscribed","ref":1,"channel":"a",`)
	next := []string{c.Next(), c.Next()}
	slices.Sort(next) // there is no order between the past and the answer
	if !strings.HasPrefix(next[0], `{"type":"message","channel":"a","data":"one",`) || !strings.HasPrefix(next[1], `{"type":"renewed","ref":2`) {
		t.Errorf("behind the answer: %q", next)
	}
}

// What a client has published before it goes is published, and the server, which stops, waits for that.
func TestWhatWasReadIsPublished(t *testing.T) {
	t.Parallel()
	b := newGated()
	n := start(t, server.Options{Broker: b})
	open := b.shut("a")
	defer open()
	c := n.dial("")
	sendMany(c, "a", 0, 20)
	<-b.begun
	c.Send(`{"type":"none"}`)
	expect(t, c, `{"type":"error","status":400,`) // all was read
	_ = c.Close()
	stopped := make(chan struct{})
	go func() { defer close(stopped); n.stop() }()
	select {
	case <-stopped:
		t.Error("the server did not wait for what is being published")
	case <-time.After(100 * time.Millisecond):
	}
	open()
	<-stopped
	b.mu.Lock()
	defer b.mu.Unlock()
	if all := slices.Concat(b.batches...); len(all) != 20 {
		t.Errorf("published were %q", all)
	}
}
