package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/server"
)

// A logBook keeps what is logged, a JSON object a line.
type logBook struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *logBook) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

// logger returns a Logger that writes into b.
func (b *logBook) logger(level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(b, &slog.HandlerOptions{Level: level}))
}

// lines returns those with a message.
func (b *logBook) lines(t *testing.T, message string) (found []map[string]any) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for line := range strings.Lines(b.text.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(fmt.Sprint(fields["msg"]), message) {
			found = append(found, fields)
		}
	}
	return found
}

// The access log has a line for each request when it has ended, by its route and without its query, and for each client
// that listens when it has gone, with why the server has closed it.
func TestAccessLog(t *testing.T) {
	var book logBook
	n := start(t, server.Options{Access: operators(t), AccessLog: book.logger(slog.LevelInfo), Hosts: []string{}})
	at := n.admin(false)
	const auth, asApp = "Authorization", "Bearer " + appKey
	gone, ended := n.ws("/ws/a"), n.ws("/live?channel=a")
	stream := n.sse("/sse/a")
	n.ask("POST", "http://"+n.addr+"/publish/chat?message=hush", auth, asApp)
	n.ask("POST", "http://"+n.addr+"/publish/chat?message=hush")
	n.ask("GET", "http://"+n.addr+"/no/such/hush?hush")
	n.ask("GET", at+"/clients", "X-Forwarded-For", "192.0.2.1")
	_ = gone.Close()
	_ = stream.resp.Body.Close()
	comesTrue(t, "two of three have gone", func() bool { return n.server.Stats().Connections == 1 })
	for _, name := range n.sessions(at, "", 10) {
		n.ask("POST", at+"/clients/"+name+"/disconnect")
	}
	if _, err := readErr(ended); err != nil && !websocket.IsCloseError(err, 4010) {
		t.Error(err)
	}
	_ = ended.Close()
	want := map[string]string{ // by method, route and status
		"GET /ws/{channel} 101": "ws", "GET /live 101": "live, limit", "GET /sse/{channel} 200": "sse",
		"POST /publish/{channel} 200": "", "POST /publish/{channel} 401": "", "GET  404": "",
		"GET /clients 403": "", "GET /clients 200": "", "POST /clients/:session/disconnect 200": "",
	}
	comesTrue(t, "a line for each", func() bool { return len(book.lines(t, "server: access")) >= len(want) })
	for _, line := range book.lines(t, "server: access") {
		what := fmt.Sprint(line["method"], " ", line["route"], " ", line["status"])
		more, known := want[what]
		delete(want, what)
		if !known || line["duration"] == nil || line["address"] != "127.0.0.1" || len(fmt.Sprint(line["request"])) != 16 {
			t.Errorf("%v", line)
		}
		if is, closed, _ := strings.Cut(more, ", "); is != shown(line["transport"]) || closed != shown(line["closed"]) {
			t.Errorf("%s: %v", more, line)
		}
		if what == "POST /publish/{channel} 200" && line["key"] != "app" {
			t.Errorf("%v", line)
		}
	}
	if len(want) > 0 {
		t.Error("no line for", want)
	}
	if text := book.text.String(); strings.Contains(text, "hush") || strings.Contains(text, appKey) {
		t.Error("a query or a path is in the log:", text)
	}
}

func shown(v any) string {
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// Without the option there is no such line.
func TestNoAccessLog(t *testing.T) {
	var book logBook
	n := start(t, server.Options{Hosts: []string{}, Logger: book.logger(slog.LevelDebug)})
	n.publish("a", "x")
	if lines := book.lines(t, "access"); len(lines) > 0 {
		t.Error(lines)
	}
}

// Who is refused for its origin, its host or as a proxy has passed it on is in the log at the level info, with the reason, the
// names that do not match and the name of the request; a flood of them is a few lines, which say how many others there were.
func TestRefusalsInTheLog(t *testing.T) {
	var book logBook
	n := start(t, server.Options{Hosts: []string{"rt.example.com"}, Logger: book.logger(slog.LevelInfo)})
	url := "http://" + n.addr + "/ws/a"
	_, body := n.ask("GET", url, "Origin", "https://app.example.com")
	n.ask("GET", url, "Host", "other.example.com")
	n.ask("GET", url, "X-Forwarded-For", "192.0.2.1")
	lines := book.lines(t, "refused")
	if len(lines) != 3 {
		t.Fatal(lines)
	}
	for i, want := range []string{"origin is not this server's", "host is not known", "a proxy has passed it on"} {
		if line := lines[i]; line["level"] != "INFO" || !strings.Contains(shown(line["reason"]), want) || line["request"] == nil {
			t.Errorf("%v, want %q", line, want)
		}
	}
	if lines[0]["origin"] != "https://app.example.com" || lines[0]["host"] != "127.0.0.1" || !strings.Contains(body, shown(lines[0]["request"])) || lines[1]["host"] != "other.example.com" {
		t.Errorf("%v %s", lines, body)
	}
	for i := range 200 {
		n.ask("GET", url, "Origin", fmt.Sprintf("https://%d.example.org", i))
	}
	if got := len(book.lines(t, "refused")); got > 150 {
		t.Errorf("%d lines for 203 refusals", got)
	}
}

// A client that goes away while it waits for the broker is no warning.
func TestClientsThatGoAreNoWarning(t *testing.T) {
	var book logBook
	kept, err := broker.Open(t.Context(), "memory://?history=5m")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kept.Close() })
	history, _ := broker.HistoryOf(kept)
	b := struct {
		mute
		broker.Historian
	}{mute{kept}, history}
	n := start(t, server.Options{Broker: b, Hosts: []string{}, AccessLog: book.logger(slog.LevelInfo), Logger: book.logger(slog.LevelDebug)})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+n.addr+"/history/mute?wait=20s", nil)
	if err != nil {
		t.Fatal(err)
	}
	gone := make(chan error, 1)
	go func() {
		_, err := n.pool.RoundTrip(req)
		gone <- err
	}()
	comesTrue(t, "it waits", func() bool { return n.server.Stats().Waiting == 1 })
	leave()
	if err := <-gone; err == nil {
		t.Error("it was answered")
	}
	comesTrue(t, "its end is in the log", func() bool { return len(book.lines(t, "server: access")) == 1 })
	for _, line := range book.lines(t, "server:") {
		if line["level"] != "INFO" && line["level"] != "DEBUG" {
			t.Error(line)
		}
	}
}
