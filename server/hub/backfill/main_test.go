package backfill_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server/hub/backfill"
	"github.com/pregon/pregon/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An archive is a history with marks. What it keeps is fed to nobody: tests do that.
type archive struct {
	mu      sync.Mutex
	epoch   uint64
	seq     map[string]uint64
	holes   uint64 // numbers that are left out after each message, and ahead of the first
	kept    map[string][]broker.Message
	marks   map[string]broker.Position
	down    error // what reading returns
	reading int   // how many read now

	gate  chan struct{} // where not nil, a token lets one reading through
	early bool          // readings find what was there before the gate opened
}

func newArchive() *archive {
	return &archive{epoch: 100, seq: map[string]uint64{}, kept: map[string][]broker.Message{}, marks: map[string]broker.Position{}}
}

// keep publishes a message.
func (a *archive) keep(channel, text string) broker.Message {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.seq[channel]
	a.seq[channel]++
	m := broker.Message{Channel: channel, Data: []byte(text), Position: a.position(n)}
	if n > 0 {
		m.Prev = a.position(n - 1)
	}
	a.kept[channel] = append(a.kept[channel], m)
	return m
}

// position returns that of message n, from 0.
func (a *archive) position(n uint64) broker.Position {
	return broker.Position{Epoch: a.epoch, Seq: a.holes + n*(a.holes+1)}
}

// trim drops all but the newest n messages.
func (a *archive) trim(channel string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	kept := a.kept[channel]
	a.kept[channel] = slices.Clone(kept[max(0, len(kept)-n):])
}

// renew begins a new epoch, with an empty history.
func (a *archive) renew() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.epoch++
	clear(a.seq)
	clear(a.kept)
	clear(a.marks)
}

// skip uses up a position without a message.
func (a *archive) skip() { a.mu.Lock(); defer a.mu.Unlock(); a.seq["c"]++ }

// mark returns the mark of channel c.
func (a *archive) mark() broker.Position { a.mu.Lock(); defer a.mu.Unlock(); return a.marks["c"] }

// hold makes readings wait for a token each, until the gate is closed.
func (a *archive) hold() (gate chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gate = make(chan struct{})
	return a.gate
}

func (a *archive) fail(err error) { a.mu.Lock(); defer a.mu.Unlock(); a.down = err }

// enter is called with each reading, and take reads.
func (a *archive) enter(ctx context.Context, take func()) error {
	a.mu.Lock()
	gate, early := a.gate, a.early
	a.reading++
	if early {
		take()
	}
	a.mu.Unlock()
	var err error
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.reading--
	if !early {
		take()
	}
	return errors.Join(err, a.down)
}

func (a *archive) Retention() broker.Retention {
	return broker.Retention{MaxMessages: 1000, MaxAge: time.Hour}
}

func (a *archive) Newest(ctx context.Context, channels ...string) (newest []broker.Position, err error) {
	err = a.enter(ctx, func() {
		for _, c := range channels {
			newest = append(newest, a.newest(c))
		}
	})
	return newest, err
}

func (a *archive) Keep(context.Context, ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.down
}

func (a *archive) newest(channel string) broker.Position {
	if kept := a.kept[channel]; len(kept) > 0 {
		return kept[len(kept)-1].Position
	}
	return broker.Position{}
}

func (a *archive) History(ctx context.Context, channel string, q broker.Query) (page broker.Page, err error) {
	err = a.enter(ctx, func() {
		for i, m := range a.kept[channel] {
			if m.Position == q.After || i == 0 && m.Follows(q.After) {
				page.Complete = true
			}
			if m.Position.Compare(q.After) > 0 {
				page.Messages = append(page.Messages, m)
			}
		}
	})
	if err != nil {
		return broker.Page{}, err
	}
	page.More = len(page.Messages) > q.Limit
	page.Messages = page.Messages[:min(len(page.Messages), q.Limit)]
	return page, nil
}

func (a *archive) Mark(ctx context.Context, channels ...string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range channels {
		if p := a.newest(c); !p.IsZero() && a.down == nil {
			a.marks[c] = p
		}
	}
	return a.down
}

func (a *archive) Marks(ctx context.Context, channels ...string) (marks []broker.Position, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range channels {
		marks = append(marks, a.marks[c])
	}
	return marks, a.down
}

// An ear is a Sink that notes what it hears.
type ear struct {
	mu    sync.Mutex
	heard []string
	gate  chan struct{} // where not nil, a token lets one call through
	busy  bool
	fault string
}

func (e *ear) Deliver(m broker.Message) { e.note(string(m.Data)) }
func (e *ear) Gap(g transport.Gap)      { e.note("gap " + string(g.Reason)) }

func (e *ear) note(what string) {
	e.mu.Lock()
	if e.busy {
		e.fault = "was called twice at a time"
	}
	e.busy = true
	e.heard = append(e.heard, what)
	gate := e.gate
	e.mu.Unlock()
	if gate != nil {
		<-gate
	}
	e.mu.Lock()
	e.busy = false
	e.mu.Unlock()
}

// hold makes calls wait for a token each, until the gate is closed.
func (e *ear) hold() (gate chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gate = make(chan struct{})
	return e.gate
}

// take returns what was heard since the last call.
func (e *ear) take() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := strings.Join(e.heard, ", ")
	e.heard = nil
	if e.fault != "" {
		return e.fault
	}
	return heard
}

// A stage is a channel c that is followed, which had one message when it was begun.
type stage struct {
	*archive
	*ear
	filler  *backfill.Filler
	channel *backfill.Channel
	n       int
}

func newStage(t *testing.T, a *archive) *stage {
	t.Helper()
	s := &stage{archive: a, ear: &ear{}}
	s.filler, s.channel = follow(a, s.ear)
	t.Cleanup(s.filler.Close)
	a.keep("c", "before")
	if err := s.filler.Begin(t.Context(), s.channel); err != nil {
		t.Fatal(err)
	}
	return s
}

// follow has the channel c of a followed for sink.
func follow(a *archive, sink backfill.Sink) (*backfill.Filler, *backfill.Channel) {
	var carried atomic.Pointer[backfill.Channel]
	filler := backfill.New(backfill.Options{History: a, Marker: a, Logger: slog.New(slog.DiscardHandler),
		Carried: func() []*backfill.Channel { return []*backfill.Channel{carried.Load()} }})
	c := filler.Channel("c", sink)
	carried.Store(c)
	return filler, c
}

// say publishes the next message, which is heard unless it is lost.
func (s *stage) say(heard bool) broker.Message {
	s.n++
	m := s.keep("c", strconv.Itoa(s.n))
	if heard {
		s.channel.Hear(m)
	}
	return m
}

// outsider is a message of another program's.
func outsider(n int) broker.Message {
	return broker.Message{Channel: "c", Data: fmt.Appendf(nil, "outsider %d", n)}
}
