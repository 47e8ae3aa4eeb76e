package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
)

// memory:// is the whole URL: what would have no effect is an error.
func TestOpen(t *testing.T) {
	for _, raw := range []string{"memory://", "memory:", "MEMORY://", "memory://?history=5m&history-bytes=64MiB"} {
		b, err := broker.Open(t.Context(), raw)
		if err != nil {
			t.Errorf("Open(%q): %v", raw, err)
			continue
		}
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	for _, raw := range []string{
		"memory://host", "memory://:6379", "memory:///path", "memory:opaque", "memory://#fragment",
		"memory://user@", "memory://:s3cret@", "memory://:s3cret@host?size=1",
		"memory://?size=1", "memory://?history-bytes=1MiB", "memory://?history=5m&history-bytes=0",
		"memory://?history=5m&history-bytes=1MB", "memory://?history=5m&history-bytes=-1", "memory://?history=5m&history-bytes=",
	} {
		_, err := broker.Open(t.Context(), raw)
		if !errors.Is(err, broker.ErrURL) || !strings.Contains(err.Error(), "memory") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q): %v; want an ErrURL that names memory and no password", raw, err)
		}
	}
}

// Two brokers that were opened one by one do not hear each other.
func TestBusesAreApart(t *testing.T) {
	one, two := memory.New(), memory.New()
	defer one.Close()
	defer two.Close()
	feed, err := two.Feed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := feed.Subscribe(t.Context(), "chat"); err != nil {
		t.Fatal(err)
	}
	for _, p := range []struct {
		b    broker.Broker
		text string
	}{{one, "elsewhere"}, {two, "here"}} {
		if _, err := p.b.Publish(t.Context(), broker.Message{Channel: "chat", Data: []byte(p.text)}); err != nil {
			t.Fatal(err)
		}
	}
	if m, err := feed.Next(); err != nil || string(m.Data) != "here" {
		t.Errorf("Next: %q, %v; want what was published on the same bus", m.Data, err)
	}
}

func ExampleNewBus() {
	ctx := context.Background()
	bus := memory.NewBus()
	here, there := bus.Broker(), bus.Broker()
	defer here.Close()
	defer there.Close()

	feed, _ := there.Feed(ctx)
	_ = feed.Subscribe(ctx, "chat")
	_, _ = here.Publish(ctx, broker.Message{Channel: "chat", Data: []byte("¡Hola mundo!")})
	m, _ := feed.Next()
	fmt.Printf("[%s] %s\n", m.Channel, m.Data)
	// Output: [chat] ¡Hola mundo!
}
