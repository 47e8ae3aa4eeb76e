package server_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

var foreignRestarts = flag.Int("foreign.restarts", 0, "how many restarts TestForeignEventSources makes")

// Where the clients run, and which there are.
const (
	inNode          = "Node: "
	sameOrigin      = "page of the same origin: "
	otherOrigin     = "page of another origin: "
	withCredentials = "page of another origin, with credentials: "
)

var (
	nodeClients = []string{"undici", "eventsource", "event-source-polyfill", "fetch-event-source"}
	pageClients = []string{"EventSource", "event-source-polyfill", "fetch-event-source", "htmx-ext-sse"}
)

// npmPackages are what the clients are made of, in .ci/run with their versions.
var npmPackages = []string{"undici", "eventsource", "event-source-polyfill", "@microsoft/fetch-event-source", "htmx.org", "htmx-ext-sse"}

// EventSources that nobody here wrote live through restarts of their node: every
// one comes back by itself, hears every message once and in order, and no empty one.
// One client of each node is slow to close, so that the others are back before the
// node has stopped.
func TestForeignEventSources(t *testing.T) {
	t.Parallel()
	npm := npmFolder(t)
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "start the browser") // before there is another tab
	heard := newAudience(clientNames()...)
	pages := servePages(t, npm, heard)

	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100_000, MaxAge: time.Hour})
	o := server.Options{
		Broker: bus.Broker(), AllowOrigins: []string{pages.otherOrigin},
		PingInterval: 200 * time.Millisecond, DrainTime: time.Second,
	}
	n := start(t, o)
	counting := startCounting(t, n.addr, start(t, server.Options{Broker: bus.Broker()}).addr)

	url := "http://" + n.addr + "/sse/count"
	startNodeClients(t, url, pages.url)
	pages.open(t, tab, "http://"+n.addr+"/healthz", url, sameOrigin, false)
	pages.open(t, tab, pages.otherOrigin, url, otherOrigin, false)
	pages.open(t, tab, pages.otherOrigin, url, withCredentials, true)
	all := len(heard.clients)
	heard.await(counting.next(), all)

	restarts := longForm(*foreignRestarts, 4)
	for i := range restarts {
		slow := neverCloses(t, n.addr)
		n.stop()
		_ = slow.Close()
		n = startAt(t, n.addr, o)
		enough := all
		if i%3 == 1 && i < restarts-1 {
			enough = 1 // the next restart comes while others are on their way back
		}
		heard.await(counting.next(), enough)
	}
	for _, line := range heard.faults() {
		t.Error(line)
	}
}

func clientNames() (names []string) {
	for _, client := range nodeClients {
		names = append(names, inNode+client)
	}
	for _, place := range []string{sameOrigin, otherOrigin, withCredentials} {
		for _, client := range pageClients {
			names = append(names, place+client)
		}
	}
	return names
}

// npmFolder is where the packages are, with a node to run them.
func npmFolder(t *testing.T) string {
	t.Helper()
	_, err := exec.LookPath("node")
	for _, folder := range filepath.SplitList(os.Getenv("NODE_PATH")) {
		if err == nil && hasAll(folder, npmPackages) {
			return folder
		}
	}
	advice := "node on PATH, npm install " + strings.Join(npmPackages, " ") + " in the versions of .ci/run, and set NODE_PATH"
	if os.Getenv("CI") != "" {
		t.Fatal("missing:", advice)
	}
	t.Skip("missing:", advice)
	return ""
}

func hasAll(folder string, packages []string) bool {
	for _, name := range packages {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			return false
		}
	}
	return true
}

// A pageServer has the pages' scripts, and takes their reports.
type pageServer struct{ url, otherOrigin string }

func servePages(t *testing.T, npm string, heard *audience) pageServer {
	mux := http.NewServeMux()
	mux.Handle("POST /heard", heard)
	mux.Handle("GET /npm/", http.StripPrefix("/npm", scripts(npm)))
	mux.Handle("GET /testdata/", http.StripPrefix("/testdata", scripts("testdata")))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<!doctype html><title>Another origin</title><body>")
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	// Not only another port, but another site.
	return pageServer{s.URL, strings.Replace(s.URL, "127.0.0.1", "localhost", 1)}
}

// scripts serves a folder to pages of any origin. Packages leave the ending out when
// they import their own files.
func scripts(folder string) http.Handler {
	files := http.FileServer(http.Dir(folder))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		switch filepath.Ext(r.URL.Path) {
		case ".mjs":
			w.Header().Set("Content-Type", "text/javascript")
		case "":
			r.URL.Path += ".js"
		}
		files.ServeHTTP(w, r)
	})
}

// open opens a page and starts its clients. Each page has connections of its own, as
// a browser has no more than six to one host.
func (p pageServer) open(t *testing.T, parent context.Context, page, url, place string, credentials bool) {
	t.Helper()
	tab, cancel := chromedp.NewContext(parent, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	script := fmt.Sprintf(`import("%s/testdata/eventsources_page.mjs").then(m => m.start(%q, %q, %t))`, p.url, url, place, credentials)
	browsertest.Do(t, tab, place+"start the clients", chromedp.Navigate(page), chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
}

func startNodeClients(t *testing.T, url, collector string) {
	t.Helper()
	client := exec.Command("node", "testdata/eventsources_node.cjs", url, collector, inNode)
	client.Stderr = t.Output()
	output(t, client)
}

// neverCloses opens an event stream that is never read, nor closed by its client.
func neverCloses(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, "GET /sse/count HTTP/1.1\r\nHost: "+addr+"\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil { // it is subscribed
		t.Fatal(err)
	}
	return c
}

// A counting publishes 1, 2, 3 and so on, each until a node has acknowledged it.
type counting struct {
	nodes  []string // addresses, of which one may be down
	client *http.Client
	newest atomic.Int64 // acknowledged
}

func startCounting(t *testing.T, nodes ...string) *counting {
	c := &counting{nodes: nodes, client: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done; c.client.CloseIdleConnections() })
	return c
}

// next is a message that has not been published yet. The one ahead of it may have
// been, without an answer.
func (c *counting) next() int { return int(c.newest.Load()) + 2 }

// run tries the nodes in turn: a message at a tick, or the same again.
func (c *counting) run(ctx context.Context) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.publish(ctx, c.nodes[i%len(c.nodes)], c.newest.Load()+1) {
				c.newest.Add(1)
			}
		}
	}
}

// publish reports whether n was published. Else it may have been: it is published
// again, with the same key.
func (c *counting) publish(ctx context.Context, node string, n int64) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://%s/publish/count?message=%d", node, n), nil)
	if err != nil {
		return false
	}
	req.Header.Set("Idempotency-Key", fmt.Sprint(n))
	resp, err := c.client.Do(req)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
