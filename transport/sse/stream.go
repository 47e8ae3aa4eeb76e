package sse

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A stream is a client's connection where it cannot be taken over from net/http: over
// HTTP/2, and behind a middleware that hides http.Hijacker. It writes to the
// http.ResponseWriter, which is only valid until the handler returns: so the handler waits
// in Read for the client to go, and calls Close, after which nothing is written.
//
// It implements as much of net.Conn as a socket.Socket needs.
type stream struct {
	net.Conn // nil: nothing else of it is used
	w        http.ResponseWriter
	control  *http.ResponseController
	client   context.Context // ends when the client has gone

	ended chan struct{} // closed by CloseWrite and Close
	once  sync.Once

	mu     sync.Mutex // held while something is written
	closed bool
}

// newStream clears the deadlines that an http.Server sets for a request.
func newStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{w: w, control: http.NewResponseController(w), client: r.Context(), ended: make(chan struct{})}
	_ = s.control.SetReadDeadline(time.Time{}) // what cannot clear them has to do without
	_ = s.control.SetWriteDeadline(time.Time{})
	return s
}

// Read waits for either side to end the stream.
func (s *stream) Read([]byte) (int, error) {
	select {
	case <-s.client.Done():
	case <-s.ended:
	}
	return 0, io.EOF
}

// Write sends p at once. It waits for a client that does not read, until Close.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, net.ErrClosed
	}
	n, err := s.w.Write(p)
	if err == nil {
		err = s.control.Flush()
	}
	return n, err
}

// CloseWrite has Read return: all has been written.
func (s *stream) CloseWrite() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// Close cuts the stream: the answer must not end well (see the package's documentation),
// and a Write that waits must end. It returns when nothing writes any more.
func (s *stream) Close() error {
	_ = s.CloseWrite()
	// Where there is no deadline to set, a Write ends when the client reads or goes.
	err := s.control.SetWriteDeadline(time.Now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if errors.Is(err, http.ErrNotSupported) {
		return nil
	}
	return err
}

// SetReadDeadline implements net.Conn. Nothing is read.
func (s *stream) SetReadDeadline(time.Time) error { return nil }

// flushes reports whether what is written to w can be sent at once, which the innermost
// ResponseWriter decides: what wraps one may have a Flush that cannot do it.
func flushes(w http.ResponseWriter) bool {
	for {
		inner, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !wraps {
			break
		}
		w = inner.Unwrap()
	}
	switch w.(type) {
	case http.Flusher, interface{ FlushError() error }:
		return true
	}
	return false
}
