package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/server"
	_ "github.com/pregon/pregon/transport/live"
	_ "github.com/pregon/pregon/transport/sse"
	_ "github.com/pregon/pregon/transport/ws"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(builtIn)
		os.Exit(code)
	}))
}

// patience bounds what must happen; nothing waits so long unless it has failed.
const patience = 90 * time.Second

// A node is a running server.
type node struct {
	t      testing.TB
	addr   string
	client *http.Client
	pool   *http.Transport
	server *server.Server
	broker broker.Broker // where a test has said so
	served chan error    // what Serve has returned
	stop   func()        // drains, and waits for the end

	credential string // that its clients have; none, if empty
}

// RoundTrip implements http.RoundTripper: it makes requests with the credential.
func (n *node) RoundTrip(r *http.Request) (*http.Response, error) {
	if n.credential != "" && r.Header.Get("Authorization") == "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+n.credential)
	}
	return n.pool.RoundTrip(r)
}

// authorized returns a request as it goes over the wire with the credential.
func (n *node) authorized(request string) string {
	if n.credential == "" {
		return request
	}
	const host = "\r\nHost: example.com"
	return strings.Replace(request, host, host+"\r\nAuthorization: Bearer "+n.credential, 1)
}

// start runs a server on o.Broker, a memory broker if there is none.
func start(t testing.TB, o server.Options) *node {
	t.Helper()
	l, err := server.Listen(context.Background(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, l, o)
}

func startOn(t testing.TB, l net.Listener, o server.Options) *node {
	t.Helper()
	if o.Broker == nil {
		b := memory.New()
		t.Cleanup(func() { _ = b.Close() })
		o.Broker = b
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.DrainTime == 0 {
		o.DrainTime = 10 * time.Millisecond
	}
	if o.Hosts == nil {
		o.Hosts = []string{"example.com"} // as the raw requests of tests have it
	}
	s, err := server.New(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	n := &node{t: t, served: done, addr: l.Addr().String(), server: s, pool: &http.Transport{MaxIdleConnsPerHost: 64}}
	n.client = &http.Client{Transport: n}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Serve(ctx, l) }()
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		n.pool.CloseIdleConnections()
		cancel()
		if err := <-done; err != nil {
			t.Error("Serve:", err)
		}
		if err := s.Close(); err != nil {
			t.Error("Close:", err)
		}
	}
	t.Cleanup(n.stop)
	check, cancelCheck := context.WithTimeout(context.Background(), patience)
	defer cancelCheck()
	for err := s.Check(check); err != nil; err = s.Check(check) { // on a busy machine the broker may take longer than it is given
		if check.Err() != nil || !errors.Is(err, broker.ErrUnavailable) {
			t.Fatal("Check:", err)
		}
	}
	return n
}

// ws opens a WebSocket at path, which has returned when it is subscribed.
func (n *node) ws(path string) *websocket.Conn {
	n.t.Helper()
	c, err := n.dial(path)
	if err != nil {
		n.t.Fatal("open WebSocket:", err)
	}
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (n *node) dial(path string) (*websocket.Conn, error) {
	d := websocket.Dialer{HandshakeTimeout: patience}
	header := http.Header{}
	if n.credential != "" {
		header.Set("Authorization", "Bearer "+n.credential)
	}
	c, resp, err := d.Dial("ws://"+n.addr+path, header)
	if err != nil && resp != nil {
		body, _ := io.ReadAll(resp.Body)
		return nil, fmt.Errorf("%w: %s %s", err, resp.Status, body)
	}
	return c, err
}

// read returns the next message of c.
func read(t testing.TB, c *websocket.Conn) string {
	t.Helper()
	text, err := readErr(c)
	if err != nil {
		t.Fatal("read:", err)
	}
	return text
}

func readErr(c *websocket.Conn) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	_, p, err := c.ReadMessage()
	return string(p), err
}

// publish publishes text and fails where the answer is not 200.
func (n *node) publish(channel, text string) {
	n.t.Helper()
	status, body := n.post("/publish/"+channel, "text/plain", text)
	if status != http.StatusOK {
		n.t.Fatalf("publish: %d %s", status, body)
	}
}

func (n *node) post(path, contentType, body string) (int, string) {
	n.t.Helper()
	resp, err := n.client.Post("http://"+n.addr+path, contentType, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// A stream reads the lines of an event stream.
type stream struct {
	t testing.TB
	*bufio.Reader
	resp *http.Response
}

// sse opens an event stream, which has returned when it is subscribed. headers are
// names and values in turn.
func (n *node) sse(path string, headers ...string) *stream {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+path, nil)
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { cancel(); _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		n.t.Fatal("open event stream:", resp.Status)
	}
	return &stream{n.t, bufio.NewReader(resp.Body), resp}
}

// event returns the lines of the next event, comments and retry left out. The event
// that only gives the stream its first id is none.
func (s *stream) event() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.ReadString('\n')
		if err != nil {
			s.t.Fatal("read event stream:", err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "" && slices.Contains(lines, "event: start"):
			lines = nil
		case line == "":
			return strings.Join(lines, "\n")
		case line[0] != ':' && !strings.HasPrefix(line, "retry:"):
			lines = append(lines, line)
		}
	}
}

// get returns the status and body of a resource.
func (n *node) get(path string) (int, string) {
	n.t.Helper()
	resp, err := n.client.Get("http://" + n.addr + path)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
