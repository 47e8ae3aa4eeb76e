package link_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/link"
	"github.com/pregon/pregon/broker/redis/internal/seal"
	"github.com/pregon/pregon/broker/redis/redistest"
)

// A past is a History of which the test says what it knows.
type past struct {
	secrets  seal.Secrets
	unknown  atomic.Bool // the server cannot be asked
	met      atomic.Int64
	noted    atomic.Uint64 // the epoch of the newest position
	rejected atomic.Int64
}

func (p *past) Meet(context.Context) error {
	p.met.Add(1)
	if p.unknown.Load() {
		return fmt.Errorf("no answer: %w", broker.ErrUnavailable)
	}
	return nil
}

func (p *past) Secrets() *seal.Secrets      { return &p.secrets }
func (p *past) Note(at broker.Position)     { p.noted.Store(at.Epoch) }
func (p *past) use(o *link.Options)         { o.History, o.Reject = p, func() { p.rejected.Add(1) } }
func knowing(secret string) (p *past)       { p = &past{}; p.secrets.Learn(secret); return p }
func (w *world) publish(topic, wire string) { w.server.Say(redistest.Published(topic, wire)) }

// sealed is what a node publishes: see package seal.
func sealed(secret, id, topic, fields string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "%s%s %d %s%s%s", secret, id, len(topic), topic, fields, secret))
	tag := hex.EncodeToString(sum[:])
	return "\xFFpg1p" + string(rune(len(id))) + id + "t" + string(rune(len(tag))) + tag + fields
}

// A message with proof has its position. One without a position is delivered as another
// program's. One that claims a position without proof is dropped, and told of.
func TestProof(t *testing.T) {
	p := knowing("secret")
	in(t, redistest.Confirm, func(w *world) {
		w.add("a")
		w.publish("app:a", sealed("guess", "17-1", "app:a", "dforged"))
		w.publish("app:a", sealed("secret", "17-1", "app:b", "dmoved"))
		w.publish("app:a", sealed("secret", "17-3", "app:a", "dhello"))
		w.publish("app:a", "bare")
		for _, want := range []struct {
			text string
			at   broker.Position
		}{{"hello", broker.Position{Epoch: 17, Seq: 3}}, {"bare", broker.Position{}}} {
			if m, err := w.feed.Next(); err != nil || string(m.Data) != want.text || m.Position != want.at {
				t.Errorf("Next returned %q at %v, %v; want %q at %v", m.Data, m.Position, err, want.text, want.at)
			}
		}
		if n := p.rejected.Load(); n != 2 {
			t.Errorf("%d were rejected, want 2", n)
		}
		if epoch := p.noted.Load(); epoch != 17 {
			t.Errorf("epoch %d was noted", epoch)
		}
	}, p.use)
}

// The witness is the newest message that was heard with proof, in a channel of users.
func TestWitness(t *testing.T) {
	p := knowing("secret")
	in(t, redistest.Confirm, func(w *world) {
		if got := w.feed.Witness(); !got.Position.IsZero() {
			t.Errorf("before anything was heard: %+v", got)
		}
		w.add("a", "__beat")
		w.publish("app:a", sealed("secret", "17-3", "app:a", "dhello"))
		w.publish("app:__beat", sealed("secret", "17-9", "app:__beat", "dbeat"))
		w.publish("app:a", sealed("guess", "17-4", "app:a", "dforged"))
		w.publish("app:other", sealed("secret", "17-5", "app:other", "dnot ours"))
		w.publish("app:a", "bare")
		synctest.Wait()
		got := w.feed.Witness()
		if got.Channel != "a" || got.Position != (broker.Position{Epoch: 17, Seq: 3}) || string(got.Fields) != "dhello" || !got.Seen.Equal(time.Now()) {
			t.Errorf("the witness is %+v", got)
		}
	}, p.use)
}

// A link is used only once the secret of what will come over it is known.
func TestMeet(t *testing.T) {
	p := knowing("secret")
	p.unknown.Store(true)
	in(t, redistest.Confirm, func(w *world) {
		if err := w.feed.Subscribe(w.Context(), "a"); !errors.Is(err, broker.ErrUnavailable) {
			t.Errorf("Subscribe returned %v", err)
		}
		p.unknown.Store(false)
		w.add("a")
		if met := p.met.Load(); met != w.dials.Load() {
			t.Errorf("of %d connections %d were to a server that was asked", w.dials.Load(), met)
		}
	}, p.use)
}

// Doubt reports all channels that are confirmed, and the link stays.
func TestDoubt(t *testing.T) {
	in(t, redistest.Confirm, func(w *world) {
		w.add("a", "b")
		w.feed.Doubt()
		w.hearGap(broker.LinkLost, "a", "b")
		w.publish("app:a", "1")
		w.hear("a", "1")
		if n := w.dials.Load(); n != 1 {
			t.Errorf("%d connections were made", n)
		}
	})
}

// That a history was cleared is told of a channel that the link carries, once and of no
// other; what was heard of it is no witness any more.
func TestCleared(t *testing.T) {
	p := knowing("secret")
	in(t, redistest.Confirm, func(w *world) {
		w.add("a", "b")
		w.publish("app:a", sealed("secret", "17-3", "app:a", "dhello"))
		w.hear("a", "hello")
		w.feed.Cleared("b")
		w.feed.Cleared("other")
		w.hearGap(broker.Cleared, "b")
		if got := w.feed.Witness(); got.Channel != "a" {
			t.Errorf("the witness is %+v", got)
		}
		w.feed.Cleared("a")
		w.hearGap(broker.Cleared, "a")
		if got := w.feed.Witness(); !got.Position.IsZero() {
			t.Errorf("the witness is still %+v", got)
		}
	}, p.use)
}
