package brokertest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
)

// guard bounds every wait for the driver.
var guard = 30 * time.Second

// scaled is the number of repetitions for n: all of them, or a tenth with -short.
func scaled(n int) int {
	if testing.Short() {
		return max(n/10, 1)
	}
	return n
}

// tb is what *testing.T and *rapid.T have in common.
type tb interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
	Cleanup(func())
}

// A fixture is what a case works with: a fresh backend. Its methods fail the
// test, so they are for the test's own goroutine; functions that return an error
// are for any.
type fixture struct {
	tb
	open   func() broker.Broker
	cut    func(node broker.Broker)
	down   func(node broker.Broker) (up func())
	denied func() (node broker.Broker, denied string)
	forget func(node broker.Broker, channel string)
	age    func(node broker.Broker, channel string) // nil where time has to pass
}

// node opens one more node.
func (f *fixture) node() broker.Broker {
	f.Helper()
	b := f.open()
	f.own(b)
	return b
}

// own has a node closed at the end.
func (f *fixture) own(b broker.Broker) {
	f.Helper()
	if b == nil {
		f.Fatalf("the driver opened no node")
	}
	f.Cleanup(func() { f.closes("Broker.Close", b.Close) })
}

// feed opens a Feed on node with channels.
func (f *fixture) feed(node broker.Broker, channels ...string) broker.Feed {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), guard)
	defer cancel()
	feed, err := node.Feed(ctx)
	if err != nil {
		f.Fatalf("Feed: %v", err)
	}
	f.Cleanup(func() { f.closes("Feed.Close", feed.Close) })
	f.add(feed, channels...)
	return feed
}

func (f *fixture) add(feed broker.Feed, channels ...string) {
	f.Helper()
	if err := add(f.Context(), feed, channels...); err != nil {
		f.Fatalf("%v", err)
	}
}

func (f *fixture) remove(feed broker.Feed, channels ...string) {
	f.Helper()
	if err := remove(f.Context(), feed, channels...); err != nil {
		f.Fatalf("%v", err)
	}
}

// say publishes text and returns it as what is to be heard.
func (f *fixture) say(node broker.Broker, channel, text string) said {
	f.Helper()
	if err := publish(f.Context(), node, channel, text); err != nil {
		f.Fatalf("%v", err)
	}
	return said{channel, text}
}

// closes calls a Close that must come back, without an error.
func (f *fixture) closes(what string, close func() error) {
	f.Helper()
	if err, ok := within(close); !ok {
		f.Errorf("%s did not return within %v", what, guard)
	} else if err != nil {
		f.Errorf("%s: %v", what, err)
	}
}

// begin runs test(0) to test(n-1) at the same time, makes errors of theirs
// failures, and returns a function that waits for them.
func (f *fixture) begin(n int, test func(i int) error) (wait func()) {
	start := make(chan struct{})
	var running sync.WaitGroup
	for i := range n {
		running.Go(func() {
			<-start
			if err := test(i); err != nil {
				f.Errorf("%v", err)
			}
		})
	}
	close(start)
	f.Cleanup(running.Wait)
	return running.Wait
}

func add(ctx context.Context, feed broker.Feed, channels ...string) error {
	ctx, cancel := context.WithTimeout(ctx, guard)
	defer cancel()
	if err := feed.Subscribe(ctx, channels...); err != nil {
		return fmt.Errorf("adding %s: %w", brief(channels), err)
	}
	return nil
}

func remove(ctx context.Context, feed broker.Feed, channels ...string) error {
	ctx, cancel := context.WithTimeout(ctx, guard)
	defer cancel()
	if err := feed.Unsubscribe(ctx, channels...); err != nil {
		return fmt.Errorf("removing %s: %w", brief(channels), err)
	}
	return nil
}

func publish(ctx context.Context, node broker.Broker, channel, text string) error {
	ctx, cancel := context.WithTimeout(ctx, guard)
	defer cancel()
	if _, err := node.Publish(ctx, broker.Message{Channel: channel, Data: []byte(text)}); err != nil {
		return fmt.Errorf("publishing to %q: %w", channel, err)
	}
	return nil
}

// within returns what call returned, and whether it did in time.
func within(call func() error) (error, bool) {
	done := make(chan error, 1)
	go func() { done <- call() }()
	select {
	case err := <-done:
		return err, true
	case <-time.After(guard):
		return nil, false
	}
}

// brief prints a list of channels that may be long.
func brief(channels []string) string {
	if len(channels) > 5 {
		return fmt.Sprintf("%q and %d more", channels[:5], len(channels)-5)
	}
	return fmt.Sprintf("%q", channels)
}
