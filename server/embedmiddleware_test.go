package server_test

import (
	"compress/gzip"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/labstack/echo/v4"

	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
)

// A zipping is a ResponseWriter that compresses, as middlewares do, and says so before it is
// known whether there is anything to compress.
type zipping struct {
	http.ResponseWriter
	zip   *gzip.Writer
	wrote *bool
}

func (z zipping) Write(p []byte) (int, error) { *z.wrote = true; return z.zip.Write(p) }

// A through lets callers through to the connection.
type through struct{ zipping }

func (o through) Unwrap() http.ResponseWriter { return o.ResponseWriter }

func zipped(next http.Handler, wrap func(zipping) http.ResponseWriter) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := zipping{w, gzip.NewWriter(w), new(bool)}
		if next.ServeHTTP(wrap(z), r); *z.wrote {
			_ = z.zip.Close() // a client that has gone is no error of ours
		}
	})
}

// mounts are the ways to have a server below /rt of another program.
var mounts = map[string]func(http.Handler) http.Handler{
	"net/http": func(h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/rt/", http.StripPrefix("/rt", h))
		return mux
	},
	"echo": func(h http.Handler) http.Handler {
		e := echo.New()
		e.Any("/rt*", echo.WrapHandler(http.StripPrefix("/rt", h)))
		return e
	},
}

// embedded serves a Server below /rt.
func embedded(t *testing.T, in func(http.Handler) http.Handler, wrap func(zipping) http.ResponseWriter) (*server.Server, *httptest.Server) {
	t.Helper()
	b := memory.New()
	s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler), DrainTime: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(in(zipped(s.Handler(), wrap)))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		s.Drain(ctx)
		web.Close()
		_, _ = s.Close(), b.Close()
	})
	return s, web
}

// Below a path and behind a middleware that compresses everything works: the page and what
// is published are compressed, and what listens takes the connection over, and does not
// claim to be.
func TestEmbedBelowAPath(t *testing.T) {
	for name, in := range mounts {
		t.Run(name, func(t *testing.T) {
			s, web := embedded(t, in, func(z zipping) http.ResponseWriter { return through{z} })
			page, err := web.Client().Get(web.URL + "/rt/")
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(page.Body)
			if _ = page.Body.Close(); err != nil || !page.Uncompressed || !strings.Contains(string(text), "<title>pregon</title>") {
				t.Error(err, page)
			}
			c, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(web.URL, "http")+"/rt/ws/a%2Fb?format=raw", nil)
			if err != nil {
				t.Fatal(err, resp)
			}
			defer c.Close()
			n := &node{t: t, addr: web.Listener.Addr().String() + "/rt", client: web.Client()}
			events := n.sse("/sse/a%2Fb")
			if got := events.resp.Header.Get("Content-Encoding"); got != "" || events.resp.Uncompressed {
				t.Errorf("the stream claims to be %q", got)
			}
			if got := s.Subscribers("a/b"); got != 2 {
				t.Error(got, "subscribers")
			}
			n.publish("a/b", "hola")
			if got := read(t, c); got != "hola" {
				t.Error(got)
			}
			if got := events.event(); got != "data: hola" {
				t.Error(got)
			}
			if status, body := n.get("/publish/a"); status != http.StatusMethodNotAllowed || !strings.Contains(body, "method_not_allowed") {
				t.Error(status, body)
			}
		})
	}
}

// A middleware that hides the connection is named before anything is subscribed.
func TestEmbedHiddenConnection(t *testing.T) {
	for name, in := range mounts {
		t.Run(name, func(t *testing.T) {
			s, web := embedded(t, in, func(z zipping) http.ResponseWriter { return z })
			n := &node{t: t, addr: web.Listener.Addr().String() + "/rt", client: web.Client()}
			_, resp, err := websocket.DefaultDialer.Dial("ws://"+n.addr+"/ws/a", nil)
			if err == nil || resp.StatusCode != http.StatusInternalServerError {
				t.Error(err, resp)
			}
			if status, body := n.get("/sse/a"); status != http.StatusInternalServerError || !strings.Contains(body, "no_hijack") || !strings.Contains(body, "http.Hijacker") {
				t.Error(status, body)
			}
			if stats := s.Stats(); stats.Connections != 0 || stats.Channels > 1 { // one is the server's own
				t.Errorf("%+v", stats)
			}
			n.publish("a", "taken") // goes on
		})
	}
}
