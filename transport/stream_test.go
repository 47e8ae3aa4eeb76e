package transport_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/pregon/pregon/transport"
)

// A plain ResponseWriter has no more than it must, whatever the one below it can do.
type plain struct{ http.ResponseWriter }

// An unwrapping one shows what it wraps, and has a Flush that may do nothing.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }
func (u unwrapping) Flush()                      {}

// The innermost ResponseWriter decides whether a Stream can send, and the problem comes
// before anything is written.
func TestCheckFlush(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	for name, c := range map[string]struct {
		w  http.ResponseWriter
		ok bool
	}{
		"flushes": {w, true}, "shows one that flushes": {unwrapping{w}, true}, "hides it": {plain{w}, false},
		"shows one that hides it": {unwrapping{unwrapping{plain{w}}}, false},
	} {
		p := transport.CheckFlush(c.w)
		if (p == nil) != c.ok || p != nil && (p.Status != http.StatusInternalServerError || p.Code != "no_flush") {
			t.Errorf("%s: got %v", name, p)
		}
	}
	if w.Flushed || w.Body.Len() > 0 {
		t.Error("something was written")
	}
}

// What a Stream was given is sent at once, and nothing once it is closed, when those who
// wait for its end are told.
func TestStream(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	s := transport.NewStream(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if _, err := s.Write([]byte("hola")); err != nil || !w.Flushed || w.Body.String() != "hola" {
		t.Errorf("%v, flushed: %v, %q", err, w.Flushed, w.Body)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _, _ = s.Read(nil) }()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	<-ended
	if _, err := s.Write([]byte("late")); err == nil || w.Body.String() != "hola" {
		t.Errorf("written behind the end: %q", w.Body)
	}
}

// A stuck ResponseWriter takes nothing before it is let go.
type stuck struct {
	http.ResponseWriter
	began, letGo chan struct{}
}

func (s stuck) Write([]byte) (int, error) {
	close(s.began)
	<-s.letGo
	return 0, net.ErrClosed
}

// Closing a Stream does not wait for a Write that is stuck, as that of one connection may hold
// up many; the handler does, before it returns.
func TestStreamClosesWhileItWrites(t *testing.T) {
	t.Parallel()
	w := stuck{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
	s := transport.NewStream(w, httptest.NewRequest(http.MethodGet, "/", nil))
	wrote := make(chan error, 1)
	go func() { _, err := s.Write([]byte("hola")); wrote <- err }()
	<-w.began
	_ = s.Close()
	released := make(chan struct{})
	go func() { defer close(released); s.Release() }()
	select {
	case <-released:
		t.Error("the handler can return while its ResponseWriter is in use")
	case err := <-wrote:
		t.Error("the Write has ended:", err)
	default:
	}
	close(w.letGo)
	<-released
	if err := <-wrote; err == nil || s.Written() != 0 {
		t.Error(err, s.Written())
	}
	if err := s.SetWriteDeadline(time.Now()); err == nil {
		t.Error("the ResponseWriter is used behind the end of its handler")
	}
}
