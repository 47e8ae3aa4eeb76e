package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A Stream is a client's connection for a Transport that does not take it over from
// net/http, or cannot: over HTTP/2, and behind a middleware that hides http.Hijacker. It
// writes to the http.ResponseWriter, which is valid only until the handler returns: so the
// handler waits in Read for the end, and calls Close, after which nothing is written.
//
// It implements as much of net.Conn as a socket.Socket needs. Methods may be called
// concurrently.
type Stream struct {
	net.Conn // nil: nothing else of it is used
	w        http.ResponseWriter
	control  *http.ResponseController
	client   context.Context // ends when the client has gone

	ended chan struct{} // closed by CloseWrite and Close
	once  sync.Once

	mu     sync.Mutex // held while something is written
	closed bool
}

// NewStream returns the Stream of the client that made r. The handler has it for as long
// as it has w. Whether w can do what a Stream needs is for [CheckFlush] to say. The
// deadlines that an http.Server sets for a request are cleared.
func NewStream(w http.ResponseWriter, r *http.Request) *Stream {
	s := &Stream{w: w, control: http.NewResponseController(w), client: r.Context(), ended: make(chan struct{})}
	_ = s.control.SetReadDeadline(time.Time{}) // what cannot clear them has to do without
	_ = s.control.SetWriteDeadline(time.Time{})
	return s
}

// Read waits for either side to end the Stream, and returns io.EOF. Nothing is read.
func (s *Stream) Read([]byte) (int, error) {
	select {
	case <-s.client.Done():
	case <-s.ended:
	}
	return 0, io.EOF
}

// Write sends p at once. It waits for a client that does not read, until Close.
func (s *Stream) Write(p []byte) (int, error) {
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
func (s *Stream) CloseWrite() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// Close cuts the Stream: a Write that waits ends, and the client is not told that the
// answer is complete. It returns when nothing writes any more.
func (s *Stream) Close() error {
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
func (s *Stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error { return s.control.SetWriteDeadline(t) }

// CheckFlush returns nil where a Stream can send at once what is written to w, which the
// innermost ResponseWriter decides (what wraps one may have a Flush that cannot do it),
// and otherwise what to answer. A Transport asks before it joins.
func CheckFlush(w http.ResponseWriter) *Problem {
	switch innermost(w).(type) {
	case http.Flusher, interface{ FlushError() error }:
		return nil
	}
	return &Problem{Status: http.StatusInternalServerError, Code: "no_flush",
		Detail: "A middleware in front of this server hides http.Flusher, without which it cannot serve clients that listen."}
}

// innermost returns what w wraps.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		inner, wraps := w.(interface{ Unwrap() http.ResponseWriter })
		if !wraps {
			return w
		}
		w = inner.Unwrap()
	}
}
