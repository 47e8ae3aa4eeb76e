package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/pregon/pregon/server"
)

// A server that is to stop is not ready first, and for the whole of the notice all else goes on:
// new listeners are let in, and hear. Then it sends them away, over the whole of the time for that.
func TestNoticeAheadOfDraining(t *testing.T) {
	t.Parallel()
	const notice, drain = 700 * time.Millisecond, 500 * time.Millisecond
	n := start(t, server.Options{DrainNotice: notice, DrainTime: drain})
	early := n.ws("/ws/c")
	began := time.Now()
	stopped := make(chan struct{})
	go func() { defer close(stopped); n.stop() }()
	comesTrue(t, "not ready", func() bool { status, _ := n.get("/readyz"); return status == http.StatusServiceUnavailable })
	late := n.ws("/ws/c")
	n.publish("c", "hola")
	if a, b := read(t, early), read(t, late); a != "[c] hola" || b != "[c] hola" {
		t.Errorf("heard %q and %q", a, b)
	}
	if text, err := readErr(early); err == nil {
		t.Errorf("heard %q", text)
	}
	if took := time.Since(began); took < notice {
		t.Error("a client was sent away after", took)
	}
	_, _ = readErr(late)
	_, _ = early.Close(), late.Close()
	<-stopped
	if took := time.Since(began); took < notice+drain/2 {
		t.Error("all were gone after", took)
	}
}
