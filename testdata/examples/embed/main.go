// Command embed is a program of one's own with pregon inside: it serves a page and the channels, and
// publishes and listens without HTTP.
//
//	go run ./testdata/examples/embed
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

const page = `<!doctype html><meta charset="utf-8"><title>Clock</title><h1 id="now">…</h1>
<script type="module">
  import { connect } from "/rt/pregon.js"
  connect("/rt").channel("clock").on("message", m => { document.querySelector("#now").textContent = m.data })
</script>`

func main() {
	address := flag.String("listen", "localhost:8080", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *address); err != nil {
		fmt.Fprintln(os.Stderr, "embed:", err)
		os.Exit(1)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, address string) error {
	b := memory.New()
	defer b.Close()
	pregon, err := server.New(ctx, server.Options{Broker: b, NoConsole: true, Hooks: server.Hooks{OnPublish: shorten}})
	if err != nil {
		return err
	}
	defer pregon.Close()
	mux := http.NewServeMux()
	mux.Handle("/rt/", http.StripPrefix("/rt", pregon.Handler()))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write([]byte(page))
	})
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("http://" + listener.Addr().String())
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	if err := tick(ctx, pregon); err != nil {
		return err
	}
	// Clients are told to come back, and then the rest of the program stops.
	ending, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	pregon.Drain(ending)
	if err := web.Shutdown(ending); err != nil {
		return err
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// tick publishes the time until ctx ends.
func tick(ctx context.Context, pregon *server.Server) error {
	clock := time.NewTicker(time.Second)
	defer clock.Stop()
	for {
		select {
		case now := <-clock.C:
			m := broker.Message{Channel: "clock", Data: []byte(now.Format(time.TimeOnly))}
			if result := pregon.Publish(ctx, m)[0]; result.Err != nil && ctx.Err() == nil {
				return result.Err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// shorten is a hook: whatever somebody publishes has no spaces at its ends.
func shorten(_ context.Context, _ transport.Identity, m broker.Message) (broker.Message, error) {
	if !m.Binary {
		m.Data = []byte(strings.TrimSpace(string(m.Data)))
	}
	return m, nil
}
