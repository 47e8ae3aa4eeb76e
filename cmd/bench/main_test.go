package bench_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/cmd/bench"
	"github.com/pregon/pregon/server"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

// asChild is a variable that has the test program be a server of another kind.
const asChild = "BENCH_TEST_CHILD"

func TestMain(m *testing.M) {
	if kind := os.Getenv(asChild); kind != "" {
		if err := runChild(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// runChild serves until it is told to stop.
func runChild(kind string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	switch kind {
	case "broken":
		return errors.New("pregon: nothing works")
	case "misunderstood":
		fmt.Fprintln(os.Stderr, "pregon: what?")
		os.Exit(2)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("%shttp://%s\nand more\n", bench.Greeting, l.Addr())
	if kind == "floor" {
		return bench.ServeFloor(ctx, l)
	}
	b := memory.New()
	defer b.Close()
	s, err := server.New(ctx, server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler), DrainTime: 10 * time.Millisecond})
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Serve(ctx, l)
}

// child makes the command of a server in a process of its own.
func child(kind string) func() *exec.Cmd {
	return func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), asChild+"="+kind)
		return c
	}
}

// small is a run that is soon over.
func small() bench.Options {
	return bench.Options{
		Subscribers: 20, Channels: 1, Publishers: 1, Messages: 50, Size: 64, Transport: "ws", Format: "text",
		PublishOver: "http", Pipeline: 8,
		Rounds: 1, Drain: 10 * time.Second,
	}
}

// serve runs a server in this process until the test ends and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	l, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := memory.New()
	s, err := server.New(context.Background(), server.Options{
		Broker: b, Logger: slog.New(slog.DiscardHandler), DrainTime: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, s.Close(), b.Close()); err != nil {
			t.Error(err)
		}
	})
	return "http://" + l.Addr().String()
}
