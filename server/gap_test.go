package server_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

// A scripted broker hears what a test tells it.
type scripted struct {
	mu    sync.Mutex
	queue *broker.Queue
	feeds int
	err   error // what Subscribe and Publish answer
}

func newScripted() *scripted { return &scripted{queue: broker.NewQueue()} }

func (s *scripted) fail(err error) { s.mu.Lock(); defer s.mu.Unlock(); s.err = err }

func (s *scripted) state() (*broker.Queue, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queue, s.err
}

func (s *scripted) Publish(_ context.Context, m broker.Message) (broker.Receipt, error) {
	q, err := s.state()
	if err == nil {
		q.Push(m)
	}
	return broker.Receipt{}, err
}

func (s *scripted) Feed(context.Context) (broker.Feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.feeds++; s.feeds > 1 {
		s.queue = broker.NewQueue()
	}
	return &scriptedFeed{s, s.queue}, nil
}

func (s *scripted) Close() error { return nil }

type scriptedFeed struct {
	broker *scripted
	*broker.Queue
}

func (f *scriptedFeed) Subscribe(_ context.Context, channels ...string) error {
	_, err := f.broker.state()
	for _, c := range channels {
		if c == "forbidden" {
			return fmt.Errorf("scripted: %w", broker.ErrDenied)
		}
	}
	return err
}

func (f *scriptedFeed) Unsubscribe(context.Context, ...string) error { return nil }

func (f *scriptedFeed) Close() error { f.Queue.Close(broker.ErrClosed); return nil }

// Where messages may be missing, every client of the channel is told at that
// place: json and event streams with an event, text and raw by a close code.
func TestGapIsTold(t *testing.T) {
	b := newScripted()
	n := start(t, server.Options{Broker: b})
	object, events, text, raw, other := n.ws("/ws/c?format=json"), n.sse("/sse/c"), n.ws("/ws/c"), n.ws("/ws/c?format=raw"), n.ws("/ws/other")
	n.publish("c", "1")
	b.queue.Gap(broker.LinkLost, "c")
	n.publish("c", "2")
	n.publish("other", "untouched")
	for _, want := range []string{
		`{"type":"message","channel":"c","data":"1"}`, `{"type":"gap","channel":"c","reason":"link-lost"}`, `{"type":"message","channel":"c","data":"2"}`,
	} {
		if got := read(t, object); got != want {
			t.Errorf("json: got %s, want %s", got, want)
		}
	}
	for _, want := range []string{"data: 1", "event: gap\ndata: " + `{"type":"gap","channel":"c","reason":"link-lost"}`, "data: 2"} {
		if got := events.event(); got != want {
			t.Errorf("sse: got %q, want %q", got, want)
		}
	}
	for _, c := range []*websocket.Conn{text, raw} {
		read(t, c)
		_, err := readErr(c)
		var ce *websocket.CloseError
		if !errors.As(err, &ce) || ce.Code != 4001 {
			t.Errorf("after the gap came %v, want a close with 4001", err)
		}
	}
	if got := read(t, other); got != "[other] untouched" {
		t.Error(got)
	}
}

// A driver's feed that ends by itself is a gap, told when it ends and again when
// the next one carries the channel.
func TestFeedThatEndsIsReplaced(t *testing.T) {
	b := newScripted()
	n := start(t, server.Options{Broker: b})
	c := n.ws("/ws/c?format=json")
	b.queue.Close(errors.New("scripted: the feed has died"))
	for range 2 {
		if got := read(t, c); got != `{"type":"gap","channel":"c","reason":"link-lost"}` {
			t.Error(got)
		}
	}
	again := n.ws("/ws/c?format=json")
	n.publish("c", "on")
	for _, c := range []*websocket.Conn{c, again} {
		if got := read(t, c); got != `{"type":"message","channel":"c","data":"on"}` {
			t.Error(got)
		}
	}
}

// Failures of the broker are 503 or 504, never 2xx, and a channel that the broker
// refuses keeps no other waiting.
func TestBrokerFailures(t *testing.T) {
	t.Parallel()
	b := newScripted()
	n := start(t, server.Options{Broker: b})
	if _, err := n.dial("/ws/forbidden"); err == nil {
		t.Error("a refused channel was opened")
	}
	n.ws("/ws/allowed")
	for _, c := range []struct {
		err    error
		status int
	}{
		{broker.ErrUnavailable, 503}, {broker.ErrUncertain, 504}, {context.DeadlineExceeded, 504},
		{fmt.Errorf("%w: %w", broker.ErrUnavailable, context.DeadlineExceeded), 503},
	} {
		b.fail(c.err)
		if status, body := n.post("/publish/c", "", "x"); status != c.status {
			t.Errorf("%v: %d %s", c.err, status, body)
		}
	}
	b.fail(broker.ErrUnavailable)
	if _, err := n.dial("/ws/unconfirmed"); err == nil {
		t.Error("a channel was opened that the broker has not confirmed")
	}
}
