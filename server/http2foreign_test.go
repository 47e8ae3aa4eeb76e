package server_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

// pageStreams is how many EventSources one page has: a browser has six connections to a host.
const pageStreams = 12

// Clients that nobody here wrote, and a page with more EventSources than a browser has connections
// to one host, hear everything over HTTP/2 through restarts of their node. The page publishes,
// and opens a WebSocket, beside them.
func TestForeignHTTP2(t *testing.T) {
	t.Parallel()
	npm := npmFolder(t)
	tab := browsertest.Start(t, "ignore-certificate-errors")
	names := []string{inNode + "undici", inNode + "eventsource", inNode + "fetch-event-source"}
	for i := range pageStreams {
		names = append(names, fmt.Sprint(sameOrigin, "EventSource ", i+1))
	}
	heard := newAudience(names...)
	pages := servePages(t, npm, heard)

	bus := memory.NewBusWithHistory(broker.Retention{MaxMessages: 100_000, MaxAge: time.Hour})
	secure, _ := certificate(t)
	o := server.Options{Broker: bus.Broker(), PingInterval: 200 * time.Millisecond, DrainTime: time.Second}
	n := startSecureAt(t, "127.0.0.1:0", secure, o)
	counting := startCounting(t, start(t, server.Options{Broker: bus.Broker()}).addr)

	url := "https://" + n.addr + "/sse/count"
	client := exec.Command("node", "testdata/http2_node.cjs", url, pages.url, inNode)
	client.Stderr = t.Output()
	output(t, client)
	browsertest.Do(t, tab, "open the page", chromedp.Navigate("https://"+n.addr+"/healthz"),
		chromedp.Evaluate[chromedp.Void](fmt.Sprintf(`import("%s/testdata/http2_page.mjs").then(m => { globalThis.page = m; m.start(%q, %q, %d) })`,
			pages.url, url, sameOrigin, pageStreams), chromedp.EvalAwaitPromise))
	heard.await(counting.next(), len(names))
	if got := browsertest.Evaluate[string](t, tab, `page.protocol("/readyz")`); got != "h2" {
		t.Errorf("the page asks over %q", got)
	}
	if got := browsertest.Evaluate[int](t, tab, `fetch("/publish/other?message=hola", {method: "POST"}).then(a => a.status)`); got != 200 {
		t.Errorf("the page publishes: %d", got)
	}
	if got := browsertest.Evaluate[string](t, tab, `page.talks("wss://" + location.host + "/live")`); got != "welcome" {
		t.Errorf("a WebSocket is told %q first", got)
	}
	for range longForm(*foreignRestarts, 2) {
		n.stop()
		n = startSecureAt(t, n.addr, secure, o)
		heard.await(counting.next(), len(names))
	}
	for _, line := range heard.faults() {
		t.Error(line)
	}
}

// startSecureAt starts a server with TLS that offers HTTP/2, at an address that may be in use for a moment.
func startSecureAt(t *testing.T, addr string, certificates []tls.Certificate, o server.Options) *node {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return startOn(t, server.Secure(l, &tls.Config{Certificates: certificates, NextProtos: []string{"h2", "http/1.1"}}), o)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
