package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A Stream is a client's connection for a Transport that does not take it over from
// net/http, or cannot: over HTTP/2, and behind a middleware that hides http.Hijacker. It
// writes to the http.ResponseWriter, which is valid only until the handler returns: so the
// handler waits in Read for the end, and calls Release, after which nothing is written.
//
// It implements as much of net.Conn as a socket.Socket needs. Methods may be called
// concurrently.
type Stream struct {
	net.Conn // nil: nothing else of it is used
	w        http.ResponseWriter
	control  *http.ResponseController // w's
	client   context.Context          // ends when the client has gone

	ended   chan struct{} // closed by CloseWrite and Close
	once    sync.Once
	written atomic.Int64 // bytes

	writing sync.Mutex // held while something is written

	mu       sync.Mutex // held while a deadline is set, which does not wait for a Write
	released bool       // w is not ours any more
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

// maxPiece is how much is written at a time: that each is done shows that the client takes
// something.
const maxPiece = 16 << 10

// Write sends p at once. It waits for a client that does not read, until Close.
func (s *Stream) Write(p []byte) (n int, err error) {
	s.writing.Lock()
	defer s.writing.Unlock()
	if s.hasEnded() {
		return 0, net.ErrClosed
	}
	for len(p) > 0 && err == nil {
		var taken int
		taken, err = s.w.Write(p[:min(len(p), maxPiece)])
		n, p = n+taken, p[taken:]
		s.written.Add(int64(taken))
	}
	if err == nil {
		err = s.control.Flush()
	}
	return n, err
}

func (s *Stream) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// Written returns how many bytes a Write has got rid of, so that one that goes on slowly can be
// told from one that waits for a client which takes nothing.
func (s *Stream) Written() int64 { return s.written.Load() }

// CloseWrite has Read return: all has been written.
func (s *Stream) CloseWrite() error {
	s.once.Do(func() { close(s.ended) })
	return nil
}

// past is a deadline that has passed beyond doubt: over HTTP/2 one that is about to pass ends the
// Stream a little later, and the handler could return before.
var past = time.Unix(1, 0)

// Close cuts the Stream: a Write that waits ends, and the client is not told that the answer is
// complete. It does not wait for that. Where there is no deadline to set, and where the whole
// connection is stuck on which the Stream is one of several, a Write ends when the client reads
// or its connection ends.
func (s *Stream) Close() error {
	_ = s.CloseWrite()
	err := s.SetWriteDeadline(past)
	if errors.Is(err, http.ErrNotSupported) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Release closes the Stream and returns when nothing writes any more. The handler calls it last.
func (s *Stream) Release() {
	_ = s.Close() // nothing is left to be lost
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = true
}

// SetReadDeadline implements net.Conn. Nothing is read.
func (s *Stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (s *Stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.released {
		return net.ErrClosed
	}
	return s.control.SetWriteDeadline(t)
}

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
