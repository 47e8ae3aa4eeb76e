package transporttest

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
)

// patience is how long a Transport has to answer before it may.
const patience = 50 * time.Millisecond

func testOpenMeansSubscribed(f *fixture) {
	gate := f.broker.hold("a")
	_, done := f.begin(f.Context(), live("a"))
	if !f.await(gate.asked, "the Transport did not subscribe") {
		return
	}
	select {
	case result := <-done:
		close(gate.open)
		f.Fatalf("answered before the broker has confirmed the channel: %v", result.err)
	case <-time.After(patience):
	}
	f.confirmed = func() { f.publish("a", "between confirmation and answer") }
	close(gate.open)
	result := <-done
	if result.err != nil {
		f.Fatalf("not answered though the broker has confirmed: %v", result.err)
	}
	f.publish("a", "behind the answer")
	result.peer.hears("a", "between confirmation and answer", "behind the answer")
}

func testRefused(f *fixture) {
	f.broker.refuse("a")
	d, done := f.begin(f.Context(), live("a"))
	if result := <-done; result.err == nil {
		f.Error("a client was connected though the broker refuses its channel")
	}
	if !f.await(d.served, "Serve did not return though the broker refuses the channel") {
		return
	}
	if d.err == nil {
		f.Fatal("Serve returned nil, as if it had connected the client")
	}
	if !errors.Is(d.err, broker.ErrDenied) {
		f.Errorf("Serve returned %v, which does not wrap what Subscribe said", d.err)
	}
	f.dial(live("b")) // others are served
}

func testGoneBeforeAnswer(f *fixture) {
	gate := f.broker.hold("a")
	ctx, cancel := context.WithCancel(f.Context())
	d, done := f.begin(ctx, live("a"))
	f.await(gate.asked, "the Transport did not subscribe")
	cancel()
	if result := <-done; result.err == nil {
		f.Error("answered before the broker has confirmed the channel")
	}
	if !f.await(d.served, "Serve did not return though the client has gone") {
		return
	}
	f.await(d.left, "the session did not leave though the client has gone")
	switch {
	case !d.gone:
		f.Error("Dial did not close the connection when its context ended")
	case errors.Is(d.refused, context.DeadlineExceeded):
		f.Error("that the client has gone was noticed only when its time was up")
	}
	close(gate.open)
}

// A bare ResponseWriter hides all that the one below it can do besides.
type bare struct{ w http.ResponseWriter }

func (b bare) Header() http.Header         { return b.w.Header() }
func (b bare) Write(p []byte) (int, error) { return b.w.Write(p) }
func (b bare) WriteHeader(status int)      { b.w.WriteHeader(status) }

// A flushing ResponseWriter hides http.Hijacker alone.
type flushing struct{ bare }

func (f flushing) Flush() { f.w.(http.Flusher).Flush() }
func (f flushing) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(f.w).SetWriteDeadline(t)
}

func testHiddenHijack(f *fixture) {
	for name, middleware := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"http.Hijacker":                  func(w http.ResponseWriter) http.ResponseWriter { return flushing{bare{w}} },
		"http.Hijacker and http.Flusher": func(w http.ResponseWriter) http.ResponseWriter { return bare{w} },
	} {
		d, done := f.beginBehind(f.Context(), live("a"), middleware)
		result := <-done
		if result.err == nil {
			f.publish("a", name)
			result.peer.hears("a", name)
			continue
		}
		if !f.await(d.served, "Serve did not return though it has not connected the client") {
			continue
		}
		var p *transport.Problem
		if !errors.As(d.err, &p) {
			f.Errorf("%s is hidden: Serve returned %v, which is no Problem", name, d.err)
		}
		if d.joins > 0 {
			f.Errorf("%s is hidden, which was found only once a session had joined", name)
		}
	}
}
