package sse_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/transport"
	"github.com/pregon/pregon/transport/socket"
	"github.com/pregon/pregon/transport/sse"
)

// A capture is a client that keeps what joins, and what it subscribes.
type capture struct {
	transport.Client
	joined     chan transport.Subscriber
	subscribed chan []transport.Subscription
}

func newCapture() capture {
	return capture{joined: make(chan transport.Subscriber, 1), subscribed: make(chan []transport.Subscription, 1)}
}

func (c capture) Join(_ context.Context, s transport.Subscriber) (transport.Session, error) {
	c.joined <- s
	return stay{c.subscribed, s.Socket}, nil
}

// A stay confirms everything, and answers for the first channel that it begins at began.
type stay struct {
	subscribed chan []transport.Subscription
	socket     *socket.Socket
}

func (s stay) Subscribe(_ context.Context, subs ...transport.Subscription) []error {
	s.subscribed <- subs
	if answer := subs[0].Answer; answer != nil {
		told, _ := answer(transport.Subscribed{Channel: subs[0].Channel, Position: began})
		_, _ = s.socket.Send(new(socket.Writer), socket.Batch{Frames: told})
	}
	return make([]error, len(subs))
}
func (stay) Unsubscribe(string, func() []byte) {}
func (stay) Say([]byte)                        {}
func (stay) Renewed([]byte)                    {}
func (stay) Touch()                            {}
func (stay) Leave()                            {}

var began = broker.Position{Epoch: 7, Seq: 3}

// A connection is a client and what it became.
type connection struct {
	subscriber transport.Subscriber
	subscribed []transport.Subscription
	header     http.Header
	chunked    bool
	opening    []byte // what the stream begins with
}

// connect connects a client for the time of the test.
func connect(t *testing.T, proto, format string, start transport.Start) connection {
	t.Helper()
	return connectBy(t, http.MethodGet, proto, format, start)
}

// connectBy is connect for a client that has named its channel in the address, or in a body.
func connectBy(t *testing.T, method, proto, format string, start transport.Start) connection {
	t.Helper()
	client := newCapture()
	sockets := socket.NewGroup(socket.Limits{Bytes: 1 << 20, Messages: 1 << 10, WriteTimeout: time.Minute, Linger: time.Minute})
	tr := sse.New(transport.Deps{Sockets: sockets, MaxInbound: 1 << 10})
	f, _ := transport.FormatByName(format)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serve := tr.Serve
		if method == http.MethodPost {
			serve = tr.ServePost
		}
		if err := serve(w, r, transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c", Start: start}}, Format: f, Client: client}); err != nil {
			t.Error(err)
		}
	}))
	conn, err := net.Dial("tcp", web.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		web.Close()
		tr.Wait()
		sockets.Wait()
	})
	_, _ = io.WriteString(conn, method+" / "+proto+"\r\nHost: c\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	var opening []byte
	for !bytes.Contains(opening, []byte("\n\n")) { // the end of the first event
		read := make([]byte, 1<<10)
		n, err := resp.Body.Read(read)
		if err != nil {
			t.Fatal(err)
		}
		opening = append(opening, read[:n]...)
	}
	return connection{<-client.joined, <-client.subscribed, resp.Header, len(resp.TransferEncoding) > 0, opening}
}

// join is connect for what the hub gets.
func join(t *testing.T, format string) transport.Subscriber {
	t.Helper()
	return connect(t, "HTTP/1.1", format, transport.Start{}).subscriber
}

// A stream begins with the time after which to come back, and an event that has the
// first id. It is in chunks where HTTP has them.
func TestOpening(t *testing.T) {
	for proto, chunked := range map[string]bool{"HTTP/1.1": true, "HTTP/1.0": false} {
		c := connect(t, proto, "raw", transport.Start{})
		if c.chunked != chunked || c.header.Get("Content-Type") != "text/event-stream" || c.header.Get("Content-Length") != "" {
			t.Errorf("%s: chunked %v, headers %v", proto, c.chunked, c.header)
		}
		id := transport.Cursor("c", began)
		want := regexp.MustCompile("^retry: [0-9]{3,4}\nevent: start\nid: " + id + `
data: {"type":"start","channel":"c","id":"` + id + `"}` + "\n\n$")
		if !want.Match(c.opening) {
			t.Errorf("%s: the stream begins with %q", proto, c.opening)
		}
		message := c.subscriber.Encoding.Message(broker.Message{Channel: "c", Data: []byte("hola")})
		if got := strings.HasPrefix(string(message), "data:"); got == chunked {
			t.Errorf("%s: a message is %q", proto, message)
		}
	}
}

// A problem after which a client may come back is a stream that says when, and why,
// and is cut: clients that are content with a stream that has ended come back, too.
func TestRetry(t *testing.T) {
	p := &transport.Problem{Status: 503, Code: "full", Detail: "All\nseats are taken.", RetryAfter: 7}
	tr := sse.New(transport.Deps{})
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://example.com")
		tr.Retry(w, r, p)
	}))
	defer web.Close()
	resp, err := web.Client().Get(web.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the answer ended with %v, want a cut", err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Access-Control-Allow-Origin") == "" {
		t.Error(resp.Status, resp.Header)
	}
	found := regexp.MustCompile(`^retry: ([0-9]+)\n: 503 full: All seats are taken\.\n$`).FindSubmatch(body)
	if found == nil {
		t.Fatalf("the answer is %q", body)
	}
	if after, _ := strconv.Atoi(string(found[1])); after < 7000 {
		t.Errorf("retry after %d ms", after)
	}
}

// Where the connection cannot be taken over, nobody joins, and the answer says why.
func TestHiddenHijacker(t *testing.T) {
	client := newCapture()
	var log strings.Builder
	tr := sse.New(transport.Deps{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 2 {
		f, _ := transport.FormatByName("raw")
		err := tr.Serve(struct{ http.ResponseWriter }{httptest.NewRecorder()}, httptest.NewRequest(http.MethodGet, "/", nil),
			transport.SubscribeRequest{Subscriptions: []transport.Subscription{{Channel: "c"}}, Format: f, Client: client})
		var p *transport.Problem
		if !errors.As(err, &p) || p.Status != 500 || p.Code != "no_hijack" {
			t.Errorf("answered with %v", err)
		}
	}
	if len(client.joined) > 0 {
		t.Error("somebody joined")
	}
	if n := strings.Count(log.String(), "no_hijack"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Where a client wants to begin reaches the hub.
func TestStartsReachTheHub(t *testing.T) {
	start := transport.Start{Since: true, After: broker.Position{Epoch: 7, Seq: 3}}
	if c := connect(t, "HTTP/1.1", "raw", start); c.subscribed[0].Start != start {
		t.Error(c.subscribed)
	}
}

// What EventSource says when it comes back is handed on as it is.
func TestLastID(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		query string
		sent  []string
		want  string
		said  bool
	}{
		{"", nil, "", false}, {"", []string{""}, "", false}, {"", []string{"abc"}, "abc", true}, {"", []string{long}, long, true},
		{"lastEventId=abc", nil, "abc", true}, {"lastEventID=abc", nil, "abc", true}, {"lastEventId=", nil, "", false},
		{"lastEventId=old", []string{"new"}, "new", true}, {"lasteventid=abc", nil, "", false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/?"+c.query, nil)
		r.Header["Last-Event-Id"] = c.sent
		if id, said := sse.New(transport.Deps{}).LastID(r); id != c.want || said != c.said {
			t.Errorf("%q: %q, %v", c.sent, id, said)
		}
	}
}
