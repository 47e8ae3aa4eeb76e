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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/broker/redis/redistest"
	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

// A mute is a broker that never confirms the channels whose names begin with mute.
type mute struct{ broker.Broker }

func (m mute) Feed(ctx context.Context) (broker.Feed, error) {
	f, err := m.Broker.Feed(ctx)
	return muteFeed{f}, err
}

type muteFeed struct{ broker.Feed }

func (f muteFeed) Subscribe(ctx context.Context, channels ...string) error {
	if slices.ContainsFunc(channels, func(c string) bool { return strings.HasPrefix(c, "mute") }) {
		return broker.ErrUnavailable
	}
	return f.Feed.Subscribe(ctx, channels...)
}

func newMute(t *testing.T) broker.Broker {
	b := memory.New()
	t.Cleanup(func() { _ = b.Close() })
	return mute{b}
}

// comeBack is what an event stream is answered by a server that would serve it later:
// any status but 200 ends an EventSource for good, and a stream that ends well ends
// some other clients.
func (n *node) comeBack(path, code string, seconds int) {
	n.t.Helper()
	req, _ := http.NewRequest(http.MethodGet, "http://"+n.addr+path, nil)
	req.Header.Set("Origin", "https://app.example")
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		n.t.Fatalf("%s: answered %s %s", code, resp.Status, body)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		n.t.Errorf("%s: the stream ended with %v, want a cut", code, err)
	}
	if resp.Header.Get("Access-Control-Allow-Origin") == "" {
		n.t.Errorf("%s: the page may not read it: %v", code, resp.Header)
	}
	retry := regexp.MustCompile(`^retry: ([0-9]+)\n: 503 ` + code + `: .*\n$`).FindSubmatch(body)
	if retry == nil {
		n.t.Fatalf("%s: the stream is %q", code, body)
	}
	if after, _ := strconv.Atoi(string(retry[1])); after < 1000*seconds {
		n.t.Errorf("%s: come back after %d ms, want at least %d s", code, after, seconds)
	}
}

// Where a client of an event stream may come back, it does; WebSockets get the status.
func TestFoundEventStreamsMayComeBack(t *testing.T) {
	origins := []string{"https://app.example"}
	t.Run("too many connections", func(t *testing.T) {
		n := start(t, server.Options{MaxConnections: 1, AllowOrigins: origins})
		n.ws("/ws/c")
		n.comeBack("/sse/c", "too_many_connections", 5)
		if _, err := n.dial("/ws/c"); err == nil || !strings.Contains(err.Error(), "503") {
			t.Error("a WebSocket:", err)
		}
	})
	t.Run("draining", func(t *testing.T) {
		n := start(t, server.Options{AllowOrigins: origins})
		slow, _ := n.rawWS("/ws/c")
		stopped := make(chan struct{})
		go func() { defer close(stopped); n.stop() }()
		for status := 0; status != http.StatusServiceUnavailable; {
			status, _ = n.get("/readyz")
		}
		n.comeBack("/sse/c", "draining", 1)
		_ = slow.Close()
		<-stopped
	})
	t.Run("not subscribed", func(t *testing.T) {
		n := start(t, server.Options{Broker: newMute(t), AllowOrigins: origins})
		n.comeBack("/sse/mute", "not_subscribed", 1)
	})
}

// A stream that the server ends is cut, too.
func TestFoundEventStreamsAreCut(t *testing.T) {
	for name, url := range map[string]string{"memory": "memory://", "redis": redistest.Start(t).URL()} {
		t.Run(name, func(t *testing.T) {
			n := start(t, server.Options{Broker: open(t, url)})
			s := n.sse("/sse/c")
			n.publish("c", "last")
			done := make(chan struct{})
			go func() { defer close(done); n.stop() }()
			if _, err := io.ReadAll(s); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the stream ended with %v, want a cut", err)
			}
			<-done
		})
	}
}

// In a real browser: an EventSource that finds the server full comes back when there
// is room.
func TestFoundBrowserComesBack(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{MaxConnections: 1})
	tab := browsertest.Start(t)
	c := n.ws("/ws/other")
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/healthz"),
		chromedp.Evaluate[chromedp.Void](`heard = [], failed = 0, source = new EventSource("/sse/c"),
			source.onerror = () => failed++, source.onmessage = e => heard.push(e.data), 1`),
		browsertest.Until(`failed > 0`))
	_ = c.Close()
	browsertest.Do(t, tab, "come back", browsertest.Until(`source.readyState === EventSource.OPEN`))
	n.publish("c", "hola")
	browsertest.Do(t, tab, "hear", browsertest.Until(`heard.join() === "hola"`))
}

// A client that cannot set Last-Event-ID gives the same in the query. What else is
// there and not known is an error, which does not repeat it.
func TestFoundQueryParameters(t *testing.T) {
	for name, url := range map[string]string{"memory": "memory://", "redis": redistest.Start(t).URL()} {
		t.Run(name, func(t *testing.T) {
			n := start(t, server.Options{Broker: open(t, url+chaosHistory)})
			var ids []string
			for i := range 3 {
				_, body := n.post("/publish/c", "text/plain", fmt.Sprint(i))
				ids = append(ids, regexp.MustCompile(`"id":"([^"]+)"`).FindStringSubmatch(body)[1])
			}
			for _, name := range []string{"lastEventId", "lastEventID"} {
				s := n.sse("/sse/c?" + name + "=" + ids[0])
				if told := s.event(); !strings.Contains(told, `"recovered":true`) {
					t.Errorf("%s: told %s", name, told)
				}
				if got := s.event() + s.event(); !strings.Contains(got, "data: 1") || !strings.Contains(got, "data: 2") {
					t.Errorf("%s: got %s", name, got)
				}
			}
		})
	}
	n := start(t, server.Options{})
	for _, path := range []string{"/sse/c?lasteventid=secret", "/sse/c?password=secret", "/sse?channel=c&secret", "/ws/c?lastEventId=secret", "/ws/c?secret=1"} {
		headers := handshake
		if strings.HasPrefix(path, "/sse") {
			headers = nil
		}
		resp, body := n.raw(get("GET "+path, headers...))
		if resp == nil || resp.StatusCode != 400 || !strings.Contains(body, `"bad_query"`) || !strings.Contains(body, "since") || strings.Contains(body, "secret") {
			t.Errorf("%s: %v %s", path, resp, body)
		}
	}
}

// A logged line, as far as tests look at it.
type records chan slog.Record

func (records) Enabled(context.Context, slog.Level) bool        { return true }
func (l records) WithAttrs([]slog.Attr) slog.Handler            { return l }
func (l records) WithGroup(string) slog.Handler                 { return l }
func (l records) Handle(_ context.Context, r slog.Record) error { l <- r; return nil }

// Clients that go away before they are connected are no reason to warn.
func TestFoundAbandonedHandshakes(t *testing.T) {
	log := make(records, 1<<16)
	n := start(t, server.Options{Broker: newMute(t), Logger: slog.New(log)})
	for i := range 20 {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			_, _ = io.WriteString(c, upgrade("/ws/mute"))
		} else {
			_, _ = io.WriteString(c, get("GET /sse/mute"))
		}
		_ = c.Close()
	}
	timeout := time.After(patience)
	for gone := 0; gone < 20; {
		select {
		case r := <-log:
			if strings.Contains(r.Message, "went away") {
				gone++
			}
			if strings.HasPrefix(r.Message, "server:") && r.Level >= slog.LevelWarn {
				t.Error(r.Level, r.Message)
			}
		case <-timeout:
			t.Fatalf("%d of 20 were noticed", gone)
		}
	}
}

// A ResponseWriter that hides what the connection can do.
type hiding struct{ http.ResponseWriter }

// Where a middleware hides the connection, both transports say so.
func TestFoundHiddenHijacker(t *testing.T) {
	b := memory.New()
	defer b.Close()
	s, err := server.New(context.Background(), server.Options{Broker: b, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.Handler().ServeHTTP(hiding{w}, r) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = web.Serve(l) }()
	n := &node{t: t, addr: l.Addr().String(), client: &http.Client{}}
	for _, request := range []string{upgrade("/ws/c"), get("GET /sse/c")} {
		if resp, body := n.raw(request); resp == nil || resp.StatusCode != 500 || !strings.Contains(body, `"no_hijack"`) {
			t.Errorf("%v %s", resp, body)
		}
	}
	_ = web.Close()
	<-done
	_ = s.Close()
}

// With compression RSV1 on anything but the first frame of a message breaks the
// protocol.
func TestFoundMisplacedRSV1(t *testing.T) {
	n := start(t, server.Options{Compress: true})
	for name, sent := range map[string][]byte{"ping": frame(0xC9, "x"), "continuation": append(frame(0x01, "x"), frame(0xC0, "y")...)} {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		_, _ = io.WriteString(c, upgrade("/ws/c", "Sec-WebSocket-Extensions: permessage-deflate"))
		r := bufio.NewReader(c)
		if resp, err := http.ReadResponse(r, nil); err != nil || resp.Header.Get("Sec-WebSocket-Extensions") == "" {
			t.Fatal("upgrade:", resp, err)
		}
		_, _ = c.Write(sent)
		if first, payload := nextFrame(t, r); first != 0x88 || !strings.HasPrefix(payload, "\x03\xea") {
			t.Errorf("%s: answered with %x %q, want a close with 1002", name, first, payload)
		}
		_ = c.Close()
	}
}
