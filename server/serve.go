package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Bounds of a request, against clients that take their time.
const (
	headerTime  = 5 * time.Second  // for the request's headers
	requestTime = 30 * time.Second // for the request with its body
	idleTime    = 2 * time.Minute  // between requests
	answerTime  = 2 * time.Second  // for an answer
	maxHeader   = 12 << 10         // bytes; net/http adds 4 KiB
)

// Serve serves l, and closes it, until ctx ends, or an operator asks for that (see Admin). Then it drains (see Drain), answers what
// is under way, and returns nil. Where the cause of ctx's end is ErrHandedOver, it
// closes l first.
// An error means that l failed.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	web := &http.Server{
		Handler:           s.handler,
		BaseContext:       baseContext,
		ConnContext:       s.accepted.context,
		ConnState:         s.accepted.changed,
		ReadHeaderTimeout: headerTime,
		ReadTimeout:       requestTime,
		WriteTimeout:      requestTime + publishTimeout + answerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		Protocols:         protocols(),
		HTTP2:             http2Config(s.options.WriteTimeout),
	}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(&acceptance{Listener: l, log: s.log}) }()
	select {
	case err := <-failed:
		_ = web.Close() // the error of Accept is the news
		return fmt.Errorf("server: accept connections: %w", err)
	case <-ctx.Done():
	case <-s.ordered:
	}
	if errors.Is(context.Cause(ctx), ErrHandedOver) {
		s.leaveTo(l, failed)
	}
	s.drain(context.WithoutCancel(ctx))
	if err := shutDown(web, failed, publishTimeout+answerTime); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: accept connections: %w", err)
	}
	return nil
}

// ErrHandedOver is the cause with which the context of Serve ends where another process accepts
// from the same sockets.
var ErrHandedOver = errors.New("server: another process has taken over")

// leaveTo leaves what comes to another process. What has been accepted here is served, and readiness
// stays as it is: a balancer that asks by a connection that is kept alive means both.
func (s *Server) leaveTo(l net.Listener, accepting chan error) {
	s.handedOver.Store(true)
	_ = l.Close() // the sockets stay open, in the other process
	<-accepting
	accepting <- http.ErrServerClosed // as it is no failure
}

// Drain begins to stop, for embedders that serve Handler by an http.Server of
// their own. Readiness turns red, and for Options.DrainNotice that is all: a balancer
// has the time to see it, and clients that still come are let in. Then requests
// that wait for news are answered, new listeners are refused, and those there are told
// to come back, spread evenly over Options.DrainTime. It returns when the last of them
// has gone or ctx ends; publishing goes on until the http.Server is shut down, which is
// to be done next. Serve does all of that by itself.
func (s *Server) Drain(ctx context.Context) {
	s.leaving.Store(true)
	s.giveNotice(ctx, s.options.DrainNotice)
	s.beginDrain()
	s.log.Info("server: draining", "connections", s.hub.Sessions(), "over", s.options.DrainTime)
	s.hub.Drain(ctx, s.options.DrainTime)
}

// giveNotice waits for a time, or until ctx ends or draining begins by another way.
func (s *Server) giveNotice(ctx context.Context, notice time.Duration) {
	if notice <= 0 {
		return
	}
	s.log.Info("server: stopping; not ready any more", "drain in", notice)
	over := time.NewTimer(notice)
	defer over.Stop()
	select {
	case <-over.C:
	case <-ctx.Done():
	case <-s.stopping:
	}
}

// beginDrain turns readiness red, ends what waits, and has new listeners refused.
func (s *Server) beginDrain() {
	s.leaving.Store(true)
	s.draining.Store(true)
	s.stopOnce.Do(func() { close(s.stopping) })
}

// drain lets go of all clients: readiness is red from the first moment, publishing
// goes on until the last listener has gone, and only then the port is closed, as an
// EventSource that comes back and finds nobody there may be one that gives up.
func (s *Server) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.options.DrainNotice+s.options.DrainTime+lingerTime+time.Second)
	defer cancel()
	s.Drain(ctx)
}

// shutDown closes the port, which accepting tells of, and answers what has been
// accepted, as long as that takes no longer than longest. A publication may take as long as ever,
// as nobody else can tell its publisher what became of it. It asks twice: what was accepted in the
// last moment is known to web only when it has left off accepting.
func shutDown(web *http.Server, accepting <-chan error, longest time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	err := web.Shutdown(ctx)
	failed := <-accepting
	if err = errors.Join(err, web.Shutdown(ctx)); err != nil {
		_ = web.Close() // the requests that are left have had their time
	}
	return failed
}
