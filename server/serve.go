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
	answerTime  = 2 * time.Second  // for an answer, and for the last ones when nobody listens any more
	maxHeader   = 12 << 10         // bytes; net/http adds 4 KiB
)

// Serve serves l, and closes it, until ctx ends. Then it drains and returns nil.
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
	go func() { failed <- web.Serve(l) }()
	select {
	case err := <-failed:
		_ = web.Close() // the error of Accept is the news
		return fmt.Errorf("server: accept connections: %w", err)
	case <-ctx.Done():
	}
	s.drain(context.WithoutCancel(ctx), web)
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("server: accept connections: %w", err)
	}
	return nil
}

// Drain begins to stop, for embedders that serve Handler by an http.Server of
// their own: readiness turns red, requests that wait for news are answered, new
// listeners are refused, and those there are told to come back, spread over
// Options.DrainTime. It returns when the last of them has gone or ctx ends;
// publishing goes on until the http.Server is shut down, which is to be done next.
// Serve does all of that by itself.
func (s *Server) Drain(ctx context.Context) {
	s.beginDrain()
	s.log.Info("server: draining", "connections", s.hub.Sessions())
	s.hub.Drain(ctx, s.options.DrainTime)
}

// beginDrain turns readiness red and ends what waits.
func (s *Server) beginDrain() {
	s.draining.Store(true)
	s.stopOnce.Do(func() { close(s.stopping) })
}

// drain lets go of all clients: readiness is red from the first moment, and
// publishing goes on until the last listener has gone.
func (s *Server) drain(ctx context.Context, web *http.Server) {
	ctx, cancel := context.WithTimeout(ctx, s.options.DrainTime+lingerTime+time.Second)
	defer cancel()
	s.Drain(ctx)
	ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), answerTime)
	defer cancel()
	if err := web.Shutdown(ctx); err != nil {
		_ = web.Close() // the requests that are left have had their time
	}
}
