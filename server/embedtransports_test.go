package server_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	"github.com/pregon/pregon/transport"
)

// A routed is a Transport with routes of its own: one that publishes what is posted, one at
// which clients listen, and one in place of the address where they would otherwise.
type routed struct {
	probe
	routes []transport.Route
}

func (r routed) Routes() []transport.Route { return r.routes }

func (routed) Retry(w http.ResponseWriter, _ *http.Request, p *transport.Problem) {
	w.Header().Set("Retried", p.Code)
	w.WriteHeader(http.StatusAccepted)
}

func say(text string) func(http.ResponseWriter, *http.Request, transport.Client) error {
	return func(w http.ResponseWriter, _ *http.Request, _ transport.Client) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// publishBody publishes the body to the channel behind /own/post/.
func publishBody(w http.ResponseWriter, r *http.Request, c transport.Client) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	channel, err := broker.ParseChannel(strings.TrimPrefix(r.URL.EscapedPath(), "/own/post/"))
	if err != nil {
		return err
	}
	if err := c.Publish(r.Context(), broker.Message{Channel: channel, Data: body})[0].Err; err != nil {
		return err
	}
	return say("posted")(w, r, c)
}

func ownRoutes() []transport.Route {
	return []transport.Route{
		{Method: "POST", Path: "/post/*", Serve: publishBody},
		{Method: "GET", Path: "", Serve: say("in place")},
		{Method: "PUT", Path: "", Serve: say("beside")},
		{Method: "GET", Path: "/listen", Listens: true, Serve: say("listening")},
		{Method: "GET", Path: "/wrong", Serve: func(http.ResponseWriter, *http.Request, transport.Client) error { return (*transport.Problem)(nil) }},
	}
}

func making(t transport.Transport) transport.Maker {
	return func(transport.Deps) (transport.Transport, error) { return t, nil }
}

// with returns Options with one more transport, called own.
func with(t transport.Transport) server.Options {
	return server.Options{Transports: map[string]transport.Maker{"own": making(t)}}
}

// An embedder adds transports and leaves out registered ones; a Transport has routes of
// its own, for which all holds that does for others.
func TestEmbedTransports(t *testing.T) {
	o := with(routed{routes: ownRoutes()})
	o.Transports["sse"] = nil
	o.MaxMessage, o.AllowOrigins = 4, []string{"https://app.example"}
	n := start(t, o)
	heard := n.ws("/ws/a%2Fb?format=raw")
	for _, c := range []struct {
		request, body string
		status        int
		says          string
	}{
		{"GET /own", "", 200, "in place"},
		{"PUT /own", "", 200, "beside"},
		{"GET /own/listen", "", 200, "listening"},
		{"POST /own/post/a%2Fb", "1234", 200, "posted"},
		{"POST /own/post/__a", "1234", 403, "channel_reserved"},
		{"POST /own/post/a//b", "1234", 400, "bad_channel"},
		{"POST /own/post/c", "12345", 413, "too_large"},                                                 // one message
		{"POST /own/post/c", strings.Repeat("x", 65), 413, "The body is longer than this server takes"}, // any body
		{"GET /own/wrong", "", 500, "internal"},
		{"DELETE /own", "", 405, "method_not_allowed"},
		{"GET /sse/a", "", 404, "not_found"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		resp, body := n.raw(method + " " + path + " HTTP/1.1\r\nHost: example.com\r\nContent-Length: " + strconv.Itoa(len(c.body)) + "\r\n\r\n" + c.body)
		if resp == nil || resp.StatusCode != c.status || !strings.Contains(body, c.says) {
			t.Errorf("%s: %v %q", c.request, resp, body)
		}
	}
	if _, text, err := heard.ReadMessage(); err != nil || string(text) != "1234" {
		t.Errorf("%q %v", text, err)
	}
	if resp, _ := n.raw(get("GET /own/a")); resp == nil || resp.StatusCode != http.StatusNoContent {
		t.Error("a channel beside the routes:", resp)
	} else if wanted := <-probed; len(wanted.Subscriptions) != 1 || wanted.Subscriptions[0].Channel != "a" {
		t.Error(wanted.Subscriptions)
	}
	for path, methods := range map[string]string{"/own": "GET, PUT", "/own/post/a": "POST, GET", "/own/listen": "GET"} {
		resp, _ := n.raw(get("OPTIONS "+path, "Origin: https://app.example"))
		if resp == nil || resp.Header.Get("Access-Control-Allow-Methods") != methods {
			t.Errorf("%s: %v, want %s", path, resp, methods)
		}
	}
	if resp, _ := n.raw(get("GET /own", "Origin: https://evil.example")); resp == nil || resp.StatusCode != http.StatusForbidden {
		t.Error("a page of another origin:", resp)
	}
}

// Where clients listen at a Transport's own route no more are let in than elsewhere, and
// it says itself what they are to come back after.
func TestEmbedRoutesThatListen(t *testing.T) {
	o := with(routed{routes: ownRoutes()})
	o.MaxConnections = 1
	n := start(t, o)
	n.ws("/ws/a")
	asked := func(path, want string) {
		t.Helper()
		if resp, _ := n.raw(get("GET " + path)); resp == nil || resp.Header.Get("Retried") != want {
			t.Errorf("%s: %v, want %q", path, resp, want)
		}
	}
	asked("/own/listen", "too_many_connections")
	asked("/own", "")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n.server.Drain(ctx)
	asked("/own/listen", "draining")
	asked("/own", "")
}

// A route that makes no sense, or takes another's place, is refused when the server is made.
func TestEmbedBadRoutes(t *testing.T) {
	good := transport.Route{Method: "GET", Path: "/a", Serve: say("")}
	for name, change := range map[string]func(*transport.Route){
		"method": func(r *transport.Route) { r.Method = "get" }, "no method": func(r *transport.Route) { r.Method = "" },
		"the server's method": func(r *transport.Route) { r.Method = "OPTIONS" }, "no handler": func(r *transport.Route) { r.Serve = nil },
		"no slash": func(r *transport.Route) { r.Path = "a" }, "parameter": func(r *transport.Route) { r.Path = "/:a" },
		"star": func(r *transport.Route) { r.Path = "/a*" }, "stars": func(r *transport.Route) { r.Path = "/*/*" },
		"empty part": func(r *transport.Route) { r.Path = "/a//b" }, "slash": func(r *transport.Route) { r.Path = "/" },
		"end": func(r *transport.Route) { r.Path = "/a/" }, "twice": func(*transport.Route) {},
	} {
		r := good
		change(&r)
		if name == "twice" {
			refused(t, name, with(routed{routes: []transport.Route{good, r}}), `"GET" "/a"`)
		} else {
			refused(t, name, with(routed{routes: []transport.Route{r}}), "route")
		}
	}
}

// refused fails the test unless Options are refused for a reason with says in it.
func refused(t *testing.T, name string, o server.Options, says string) {
	t.Helper()
	b := memory.New()
	defer b.Close()
	o.Broker, o.Logger = b, slog.New(slog.DiscardHandler)
	s, err := server.New(context.Background(), o)
	if err == nil {
		_ = s.Close()
	}
	if !errors.Is(err, server.ErrOptions) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v, want %s", name, err, says)
	}
}

// What an embedder says of transports collides with nothing and leaves nothing unsaid.
func TestEmbedTransportsThatCollide(t *testing.T) {
	for name, o := range map[string]server.Options{
		`"ws" has the name of a registered one`:              {Transports: map[string]transport.Maker{"ws": making(probe{})}},
		`"history" has the name of a route`:                  {Transports: map[string]transport.Maker{"history": making(probe{})}},
		`"a/b"`:                                              {Transports: map[string]transport.Maker{"a/b": making(probe{})}},
		`"absent" is to be left out`:                         {Transports: map[string]transport.Maker{"absent": nil}},
		`"absent", which is not there`:                       {Settings: map[string]map[string]string{"absent": {"a": "b"}}},
		`"sse", which is not there`:                          {Transports: map[string]transport.Maker{"sse": nil}, Settings: map[string]map[string]string{"sse": {}}},
		`"own": its function has made none`:                  with(nil),
		`"ws": transport: bad setting: unknown: also, lines`: {Settings: map[string]map[string]string{"ws": {"lines": "1", "also": "2"}}},
	} {
		refused(t, name, o, name)
	}
}

// A Transport gets its own settings; one that makes no sense is named, without its text.
func TestEmbedSettings(t *testing.T) {
	lines := 0
	o := server.Options{Transports: map[string]transport.Maker{"own": func(env transport.Deps) (_ transport.Transport, err error) {
		lines, err = transport.Setting(env.Settings, "max-lines", 7, strconv.Atoi)
		return probe{}, err
	}}}
	for text, want := range map[string]int{"": 7, "12": 12} {
		if o.Settings = nil; text != "" {
			o.Settings = map[string]map[string]string{"own": {"max-lines": text}}
		}
		handler(t, o)
		if lines != want {
			t.Errorf("%q: %d lines", text, lines)
		}
	}
	o.Settings = map[string]map[string]string{"own": {"max-lines": "s3cret"}}
	refused(t, "bad", o, "max-lines has a value that cannot be used")
	b := memory.New()
	defer b.Close()
	o.Broker = b
	if _, err := server.New(context.Background(), o); strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

// A waiting is a Transport of which a connection is there until it is told that it may go.
type waiting struct {
	probe
	gone chan struct{}
}

func (w waiting) Wait() { <-w.gone }

// An embedder's transport is waited for like the others.
func TestEmbedTransportsAreWaitedFor(t *testing.T) {
	w := waiting{gone: make(chan struct{})}
	b := memory.New()
	defer b.Close()
	o := with(w)
	o.Broker, o.Logger = b, slog.New(slog.DiscardHandler)
	s, err := server.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan error)
	go func() { closed <- s.Close() }()
	select {
	case <-closed:
		t.Error("closed while there was a connection")
	case <-time.After(20 * time.Millisecond):
		close(w.gone)
		<-closed
	}
}
