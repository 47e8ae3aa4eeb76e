package hub_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server/hub"
)

// disconnectSlow has so many clients join that do not read, and be disconnected for it.
func disconnectSlow(t *testing.T, h *hub.Hub, b broker.Broker, clients int) {
	t.Helper()
	before := h.Stats().Disconnected
	for range clients {
		t.Cleanup(join(t, h, &lines{}, false, "c").leave)
	}
	for range 4 { // each more than half of what may wait
		publish(t, b, "c", strings.Repeat("x", 600<<10))
		synctest.Wait()
	}
	if got := h.Stats().Disconnected - before; got != uint64(clients) {
		t.Fatalf("%d were disconnected, want %d", got, clients)
	}
}

// A lineWriter hands on what is written to it.
type lineWriter chan string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}

// lines returns what was written meanwhile.
func (w lineWriter) lines() (lines []string) {
	for synctest.Wait(); len(w) > 0; {
		lines = append(lines, <-w)
	}
	return lines
}

// Strangers who do not read cannot fill the log: those whom a worker disconnects in a second are
// one line, with their number, and none is left out.
func TestSlowClientsShareALine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, out := memory.New(), make(lineWriter, 100)
		o := quiet
		o.Workers, o.Logger = 1, slog.New(slog.NewTextHandler(out, nil))
		h, err := hub.New(context.Background(), b, o)
		if err != nil {
			t.Fatal(err)
		}
		says := func(want string) {
			t.Helper()
			if lines := out.lines(); len(lines) != 1 || !strings.HasSuffix(lines[0], want+"\n") {
				t.Errorf("%q; want one line with %s", lines, want)
			}
		}
		disconnectSlow(t, h, b, 20)
		disconnectSlow(t, h, b, 10)
		if lines := out.lines(); len(lines) > 0 {
			t.Errorf("%q within a second", lines)
		}
		time.Sleep(time.Second)
		says("clients=30")
		time.Sleep(time.Minute)
		disconnectSlow(t, h, b, 2)
		h.Close()
		says("clients=2")
		_ = b.Close()
	})
}
