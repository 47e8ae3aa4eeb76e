package backfill_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

// Whatever is heard, lost, deleted or begun anew, and however that is interleaved with readings
// of the history and a Sink that takes its time: messages are delivered in order and once, every
// hole is told, and no gap where nothing is missing. In the end the channel is where its history
// ends, and all that is kept was delivered.
func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		gentle := rapid.Bool().Draw(r, "gentle") // nothing happens that must be told
		names := []string{"hear", "hear", "lose", "lost", "read", "read", "deliver", "slow", "early", "sleep"}
		if !gentle {
			names = append(names, "outsider", "outsider lost", "lost for good", "trim",
				rapid.SampledFrom([]string{"renew", "claim"}).Draw(r, "also")) // what waits when an epoch ends is not known to be false
		}
		holes := rapid.SampledFrom([]uint64{0, 6}).Draw(r, "numbers left out")
		steps := rapid.SliceOfN(rapid.SampledFrom(names), 1, 40).Draw(r, "steps")
		var failures []string
		synctest.Test(t, func(t *testing.T) { failures = play(t, steps, holes, gentle) })
		if len(failures) > 0 {
			r.Fatal(strings.Join(failures, "\n"))
		}
	})
}

// A run is one run of the model.
type run struct {
	archive *archive
	witness *witness
	filler  *backfill.Filler
	channel *backfill.Channel
	feed    chan func() // what the reader of the feed does, in order
	outside int         // outsiders so far
	forGood bool        // some were lost for good
}

func play(t *testing.T, steps []string, holes uint64, gentle bool) (failures []string) {
	a := newArchive()
	a.holes = holes
	r := &run{archive: a, feed: make(chan func(), len(steps)), witness: &witness{truth: map[broker.Position]int{}, delivered: map[broker.Position]bool{}}}
	r.filler, r.channel = follow(a, r.witness)
	defer r.filler.Close()
	r.witness.last = r.publish().Position
	if err := r.filler.Begin(t.Context(), r.channel); err != nil {
		t.Fatal(err)
	}
	a.hold()
	var reader sync.WaitGroup
	reader.Go(func() {
		for do := range r.feed {
			do()
		}
	})
	for _, step := range steps {
		r.step(step)
		synctest.Wait()
	}
	r.settle()
	close(r.feed)
	reader.Wait()
	return r.check(gentle)
}

// publish keeps a message and notes that it was.
func (r *run) publish() broker.Message {
	m := r.archive.keep("c", "message")
	r.witness.mu.Lock()
	defer r.witness.mu.Unlock()
	r.witness.truth[m.Position] = len(r.witness.truth)
	return m
}

func (r *run) step(name string) {
	switch name {
	case "hear":
		m := r.publish()
		r.feed <- func() { r.channel.Hear(m) }
	case "lose":
		r.publish()
	case "outsider":
		r.outside++
		m := outsider(r.outside)
		r.feed <- func() { r.channel.Hear(m) }
	case "outsider lost":
		r.outside++
		r.feed <- func() { r.filler.Lost(broker.LinkLost, r.channel) }
	case "lost for good":
		r.forGood = true
		r.feed <- func() { r.filler.LostForGood(broker.Overrun, r.channel) }
	case "lost":
		r.feed <- func() { r.filler.Lost(broker.LinkLost, r.channel) }
	case "claim":
		p := broker.Position{Epoch: 100, Seq: 1_000_000}
		r.feed <- func() { r.channel.Hear(broker.Message{Channel: "c", Data: []byte("claim"), Position: p}) }
	case "trim":
		r.archive.trim("c", 1)
	case "renew":
		r.archive.renew()
	case "read":
		pass(r.archive.gate)
	case "deliver":
		pass(r.witness.gate)
	case "slow":
		r.witness.setGate(make(chan struct{}))
	case "early":
		r.archive.mu.Lock()
		r.archive.early = !r.archive.early
		r.archive.mu.Unlock()
	case "sleep":
		time.Sleep(500 * time.Millisecond)
	}
}

// pass opens a gate for one goroutine that waits there.
func pass(gate chan struct{}) {
	select {
	case gate <- struct{}{}:
	default:
	}
}

// settle lets all through, and waits until all that was lost must have been found.
func (r *run) settle() {
	r.archive.mu.Lock()
	close(r.archive.gate)
	r.archive.gate = nil
	r.archive.mu.Unlock()
	r.witness.setGate(nil)
	time.Sleep(3 * time.Minute)
}

func (r *run) check(gentle bool) []string {
	w, kept := r.witness, r.archive.kept["c"]
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range kept {
		if w.truth[m.Position] > 0 && !w.delivered[m.Position] {
			w.fail("message %d of %d that are kept was not delivered", i, len(kept))
		}
	}
	if len(kept) > 0 && w.last != kept[len(kept)-1].Position {
		w.fail("the last message was not delivered last")
	}
	if gentle && w.gaps > 0 {
		w.fail("%d gaps where nothing is missing", w.gaps)
	}
	if r.forGood && w.gaps == 0 {
		w.fail("what was lost for good was not told")
	}
	if w.outsider > 0 && w.outsider < r.outside && !w.outsiderGap {
		w.fail("outsiders behind %d were lost and not told", w.outsider)
	}
	return w.failures
}

// A witness is a Sink that checks what it hears.
type witness struct {
	mu       sync.Mutex
	gate     chan struct{} // where not nil, a token lets one call through
	busy     bool
	failures []string

	truth map[broker.Position]int // which message has a position
	last  broker.Position         // of the message that was delivered last, or came before Begin
	gap   bool                    // told since
	gaps  int

	delivered map[broker.Position]bool

	outsider    int  // the last one
	outsiderGap bool // told since
}

func (w *witness) fail(format string, args ...any) {
	w.failures = append(w.failures, fmt.Sprintf(format, args...))
}

func (w *witness) setGate(gate chan struct{}) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gate != nil {
		close(w.gate)
	}
	w.gate = gate
}

func (w *witness) Deliver(m broker.Message) {
	defer w.enter()()
	if m.Position.IsZero() {
		w.hearOutsider(m)
		return
	}
	n, published := w.truth[m.Position]
	switch {
	case !published:
		w.fail("a message that nobody has published")
	case n <= w.truth[w.last]:
		w.fail("message %d behind %d", n, w.truth[w.last])
	case n > w.truth[w.last]+1 && !w.gap:
		w.fail("no gap between messages %d and %d", w.truth[w.last], n)
	}
	w.last, w.gap = m.Position, false
	w.delivered[m.Position] = true
}

func (w *witness) hearOutsider(m broker.Message) {
	var n int
	_, _ = fmt.Sscanf(string(m.Data), "outsider %d", &n)
	switch {
	case n <= w.outsider:
		w.fail("outsider %d behind %d", n, w.outsider)
	case w.outsider > 0 && n > w.outsider+1 && !w.outsiderGap:
		w.fail("no gap between outsiders %d and %d", w.outsider, n)
	}
	w.outsider, w.outsiderGap = n, false
}

func (w *witness) Gap(transport.Gap) {
	defer w.enter()()
	w.gaps++
	w.gap, w.outsiderGap = true, true
}

// enter begins a call, and waits where the Sink is slow. What it returns ends the call.
func (w *witness) enter() (leave func()) {
	w.mu.Lock()
	if w.busy {
		w.fail("called twice at a time")
	}
	w.busy = true
	gate := w.gate
	w.mu.Unlock()
	if gate != nil {
		<-gate
	}
	w.mu.Lock()
	w.busy = false
	return w.mu.Unlock
}
