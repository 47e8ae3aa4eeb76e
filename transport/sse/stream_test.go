package sse_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/sse"
)

// A hiding is a ResponseWriter of a middleware that hides http.Hijacker.
type hiding struct{ w http.ResponseWriter }

func (h hiding) Header() http.Header                { return h.w.Header() }
func (h hiding) Write(p []byte) (int, error)        { return h.w.Write(p) }
func (h hiding) WriteHeader(status int)             { h.w.WriteHeader(status) }
func (h hiding) Flush()                             { h.w.(http.Flusher).Flush() }
func (h hiding) SetWriteDeadline(t time.Time) error { return h.w.(deadliner).SetWriteDeadline(t) }

type deadliner interface{ SetWriteDeadline(time.Time) error }

// A plainSite serves streams whose connections cannot be taken over.
type plainSite struct {
	*httptest.Server
	capture
	tr     *sse.Transport
	served chan struct{} // gets a token when Serve returns
}

func servePlain(t *testing.T, http2 bool, stall time.Duration) plainSite {
	t.Helper()
	sockets := socket.NewGroup(socket.Limits{Bytes: 64 << 10, Messages: 1 << 10, WriteTimeout: stall, Linger: time.Minute})
	s := plainSite{capture: newCapture(), tr: sse.New(transport.Deps{Sockets: sockets}), served: make(chan struct{}, 1)}
	f, _ := transport.FormatByName("raw")
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !http2 {
			w = hiding{w}
		}
		wanted := transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c"}}, Format: f, Client: s.capture}
		if err := s.tr.Serve(w, r, wanted); err != nil {
			t.Error(err)
		}
		s.served <- struct{}{}
	}))
	s.EnableHTTP2 = http2
	if http2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.Close(); s.tr.Wait(); sockets.Wait() })
	return s
}

// Over HTTP/2 and behind a middleware that hides http.Hijacker a stream is what it is
// elsewhere: it begins with the time after which to come back and the first id, brings
// messages at once, and is cut when the server ends it.
func TestStreamWithoutHijack(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/2": true, "hidden": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servePlain(t, http2, time.Minute)
			resp, err := s.Server.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if http2 != (resp.ProtoMajor == 2) || resp.Header.Get("Content-Type") != "text/event-stream" {
				t.Fatal(resp.Proto, resp.Header)
			}
			subscriber := <-s.joined
			lines := bufio.NewReader(resp.Body)
			read := func(n int) (text string) {
				for range n {
					line, err := lines.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					text += line
				}
				return text
			}
			if got := read(5); !strings.HasPrefix(got, "retry: ") || !strings.Contains(got, "event: start\nid: ") {
				t.Errorf("the stream begins with %q", got)
			}
			message := subscriber.Encoding.Message(broker.Message{Channel: "c", Data: []byte("hola")})
			if _, err := subscriber.Socket.Send(new(socket.Writer), socket.Batch{Frames: message, Messages: 1}); err != nil {
				t.Fatal(err)
			}
			if got := read(2); got != "data: hola\n\n" {
				t.Errorf("got %q", got)
			}
			subscriber.Socket.CloseAfterFlush(nil)
			if rest, err := io.ReadAll(lines); err == nil || len(rest) > 0 {
				t.Errorf("the stream ended well, behind %q", rest)
			}
			<-s.served
		})
	}
}

// A client that goes, and one that does not read, hold nothing up.
func TestStreamWithoutHijackEnds(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/2": true, "hidden": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := servePlain(t, http2, 50*time.Millisecond)
			gone, err := s.Server.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			<-s.joined
			<-s.subscribed
			_ = gone.Body.Close()
			<-s.served

			deaf, err := s.Server.Client().Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer deaf.Body.Close()
			subscriber := <-s.joined
			message := subscriber.Encoding.Message(broker.Message{Channel: "c", Data: make([]byte, 32<<10)})
			for !errors.Is(err, socket.ErrClosed) { // it is slow for some time before
				runtime.Gosched()
				_, err = subscriber.Socket.Send(new(socket.Writer), socket.Batch{Frames: message, Messages: 1})
			}
			<-s.served
		})
	}
}

// A problem after which a client may come back is a stream that is cut there, too.
func TestRetryWithoutHijack(t *testing.T) {
	t.Parallel()
	tr := sse.New(transport.Deps{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tr.Retry(hiding{w}, r, &transport.Problem{Status: 503, Code: "full", Detail: "All seats are taken.", RetryAfter: 7})
	}))
	defer web.Close()
	resp, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != 200 || err == nil || !strings.HasSuffix(string(body), "\n: 503 full: All seats are taken.\n") {
		t.Errorf("%s %q %v", resp.Status, body, err)
	}
}
