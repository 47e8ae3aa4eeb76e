package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/redis/internal/pipeline"
)

const timeout = 3 * time.Second

// A gate is a Send that waits for the test, and notes what went through it.
type gate struct {
	arrived chan int      // messages of each call, as it begins
	open    chan struct{} // a token lets one call through

	mu    sync.Mutex
	calls [][]string // the payloads, one list per call
	now   atomic.Int32
	most  atomic.Int32 // calls at once
}

func newGate() *gate {
	return &gate{arrived: make(chan int, 1000), open: make(chan struct{}, 1000)}
}

func (g *gate) send(_ context.Context, messages []*pipeline.Message) {
	g.most.Store(max(g.most.Load(), g.now.Add(1)))
	defer g.now.Add(-1)
	var texts []string
	for _, m := range messages {
		texts = append(texts, string(m.Data))
	}
	g.mu.Lock()
	g.calls = append(g.calls, texts)
	g.mu.Unlock()
	g.arrived <- len(messages)
	<-g.open
}

// gated runs a test with a Pipeline whose Send is a gate, in a bubble. stop closes the
// Pipeline; what is under way must be let through.
func gated(t *testing.T, test func(t *testing.T, p *pipeline.Pipeline, g *gate, stop func())) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		closing, end := context.WithCancel(context.Background())
		g := newGate()
		p := pipeline.New(pipeline.Options{
			Transmitter: pipeline.NewTransmitter(nil, closing),
			Timeout:     timeout,
			Send:        g.send,
			Demoted:     func() {},
		})
		test(t, p, g, end)
		close(g.open)
		end()
		p.Close()
		if n := g.most.Load(); n > 1 {
			t.Errorf("%d pipelines were under way at once", n)
		}
	})
}

func message(text string) broker.Message { return broker.Message{Channel: "chat", Data: []byte(text)} }

// one publishes a message and returns its error.
func one(ctx context.Context, p *pipeline.Pipeline, text string) error {
	results, _ := p.Publish(ctx, nil, []broker.Message{message(text)})
	return results[0].Err
}

// What many callers publish while a pipeline is under way goes together in the next, each
// caller's messages in their order.
func TestTogether(t *testing.T) {
	gated(t, func(t *testing.T, p *pipeline.Pipeline, g *gate, _ func()) {
		var callers sync.WaitGroup
		callers.Go(func() { one(t.Context(), p, "first") })
		<-g.arrived
		for c := range 20 {
			callers.Go(func() {
				batch := []broker.Message{message(fmt.Sprint(c, " a")), message(fmt.Sprint(c, " b"))}
				if _, aborted := p.Publish(t.Context(), nil, batch); aborted {
					t.Error("aborted")
				}
			})
		}
		synctest.Wait()
		g.open <- struct{}{}
		if n := <-g.arrived; n != 40 {
			t.Errorf("%d messages are in the next pipeline, want 40", n)
		}
		g.open <- struct{}{}
		callers.Wait()
		last := map[string]string{}
		for _, text := range g.calls[1] {
			caller, letter, _ := strings.Cut(text, " ")
			if letter <= last[caller] {
				t.Errorf("caller %s: %q behind %q", caller, letter, last[caller])
			}
			last[caller] = letter
		}
	})
}

// A pipeline is bounded, in messages and in bytes; what is too much for one goes in the
// next, in order.
func TestBounds(t *testing.T) {
	for name, test := range map[string]struct {
		n, size, calls int
	}{
		"messages": {1300, 4, 3},
		"bytes":    {10, 400 << 10, 5},
		"large":    {3, 2 << 20, 3},
	} {
		t.Run(name, func(t *testing.T) {
			gated(t, func(t *testing.T, p *pipeline.Pipeline, g *gate, _ func()) {
				var batch []broker.Message
				for i := range test.n {
					batch = append(batch, message(fmt.Sprintf("%4d", i)+strings.Repeat("x", test.size-4)))
				}
				for range test.calls {
					g.open <- struct{}{}
				}
				results, aborted := p.Publish(t.Context(), nil, batch)
				if aborted || len(results) != test.n || len(g.calls) != test.calls {
					t.Fatalf("%d results, aborted %v, in %d pipelines; want %d in %d", len(results), aborted, len(g.calls), test.n, test.calls)
				}
				i := 0
				for _, call := range g.calls {
					for _, text := range call {
						if text != string(batch[i].Data) {
							t.Fatalf("message %d is out of order", i)
						}
						i++
					}
				}
			})
		})
	}
}

// A caller that waits for its turn gives up when its context ends, or after Timeout, and
// then its message is not sent.
func TestNotSent(t *testing.T) {
	for name, test := range map[string]struct {
		limit time.Duration // of the context
		want  error
		after time.Duration
	}{
		"deadline": {time.Second, context.DeadlineExceeded, time.Second},
		"timeout":  {time.Minute, broker.ErrUnavailable, timeout},
	} {
		t.Run(name, func(t *testing.T) {
			gated(t, func(t *testing.T, p *pipeline.Pipeline, g *gate, _ func()) {
				go one(context.Background(), p, "first")
				<-g.arrived
				ctx, cancel := context.WithTimeout(t.Context(), test.limit)
				defer cancel()
				begun := time.Now()
				err := one(ctx, p, "late")
				if took := time.Since(begun); !errors.Is(err, test.want) || errors.Is(err, broker.ErrUncertain) || took != test.after {
					t.Errorf("after %v: %v; want %v after %v", took, err, test.want, test.after)
				}
				g.open <- struct{}{}
				synctest.Wait()
				if len(g.calls) != 1 {
					t.Errorf("sent were %q", g.calls)
				}
			})
		})
	}
}

// A context that has ended already sends nothing.
func TestEndedContext(t *testing.T) {
	gated(t, func(t *testing.T, p *pipeline.Pipeline, g *gate, _ func()) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := one(ctx, p, "late"); !errors.Is(err, context.Canceled) {
			t.Errorf("it returned %v", err)
		}
		if len(g.calls) > 0 {
			t.Errorf("sent were %q", g.calls)
		}
	})
}

// Closing ends the wait of those whose turn has not come, and sends nothing any more.
func TestClosing(t *testing.T) {
	gated(t, func(t *testing.T, p *pipeline.Pipeline, g *gate, stop func()) {
		go one(context.Background(), p, "first")
		<-g.arrived
		outcomes := make(chan error, 5)
		for range cap(outcomes) {
			go func() { outcomes <- one(t.Context(), p, "late") }()
		}
		synctest.Wait()
		stop()
		for range cap(outcomes) {
			if err := <-outcomes; !errors.Is(err, broker.ErrClosed) {
				t.Errorf("it returned %v", err)
			}
		}
		g.open <- struct{}{}
		synctest.Wait()
		if err := one(t.Context(), p, "after"); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("after closing: %v", err)
		}
		if len(g.calls) != 1 {
			t.Errorf("sent were %q", g.calls)
		}
	})
}
