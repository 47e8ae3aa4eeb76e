package client_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
)

const (
	pause  = 3 * time.Millisecond // between messages
	uptime = 100                  // messages between two changes of the node, at least
)

// restarts is how often a node is killed and started again.
func restarts() int {
	if testing.Short() {
		return 5
	}
	return 20
}

// What testdata/load.js has heard.
type heard struct {
	News, Own []string
	Published int
	Lost      int
}

// check fails where a message was heard twice, out of order, or not, or a gap was told: the history
// has everything.
func check(t *testing.T, channel string, items []string, total int) {
	t.Helper()
	want := 1
	for _, item := range items {
		if item != strconv.Itoa(want) {
			t.Errorf("%s: %s was heard where %d is next", channel, item, want)
		}
		if n, err := strconv.Atoi(item); err == nil {
			want = n + 1
		}
	}
	if want != total+1 {
		t.Errorf("%s: %d is the last of %d", channel, want-1, total)
	}
}

// underLoad kills the node and starts it again many times while messages are published, and
// returns how many those were.
func underLoad(c *cluster, kill func()) int {
	total := 0
	load := func(n int) {
		for range n {
			total++
			c.publish(strconv.Itoa(total))
			time.Sleep(pause)
		}
	}
	for i := range restarts() {
		load(uptime + 3*i)
		kill()
		load(uptime / 4 * (i % 4))
		kill = c.start()
	}
	load(uptime)
	c.publish("end")
	c.t.Cleanup(kill)
	return total
}

func (h heard) check(t *testing.T, total int) {
	t.Helper()
	t.Logf("%d messages heard, %d published, the connection lost %d times", total, h.Published, h.Lost)
	check(t, "news", h.News, total)
	check(t, "own", h.Own, h.Published)
	if h.Lost < restarts() {
		t.Errorf("the connection was lost %d times in %d restarts", h.Lost, restarts())
	}
}

// A client in Node, Deno or Bun, over WebSocket and over streams, whose server is killed and started again 20
// times under load hears each message once, its own publications, too.
func TestClientOutlivesItsServer(t *testing.T) {
	eachRuntime(t, func(t *testing.T, r runtime) {
		c := newCluster(t, nil)
		kill := c.start()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		command := r.command(ctx, "load.node.js", "http://"+c.addr)
		var problems strings.Builder
		command.Stderr = &problems
		out, err := command.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 16<<20)
		if !lines.Scan() || lines.Text() != "ready" {
			_ = command.Wait()
			t.Fatalf("it is not ready: %s%s", lines.Text(), &problems)
		}
		total := underLoad(c, kill)
		lines.Scan()
		if err := command.Wait(); err != nil {
			t.Fatalf("%v\n%s", err, &problems)
		}
		var h heard
		if err := json.Unmarshal(lines.Bytes(), &h); err != nil {
			t.Fatal(err)
		}
		h.check(t, total)
	})
}

// The same in a page, of another origin.
func TestBrowserOutlivesItsServer(t *testing.T) {
	t.Parallel()
	tab := browsertest.Start(t)
	c := newCluster(t, nil)
	kill := c.start()
	pages := http.NewServeMux()
	pages.Handle("/files/", http.StripPrefix("/files/", http.FileServer(http.Dir("."))))
	pages.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = fmt.Fprintf(w, `<!doctype html><title>load</title><script type="module">
			import { connect } from "%s/pregon.js"
			import { listen } from "/files/testdata/load.js"
			listen(connect, "http://%s", {}, () => window.ready = true).then(heard => window.heard = heard, error => window.heard = String(error))
		</script>`, c.stable, c.addr)
	})
	web := httptest.NewServer(pages)
	t.Cleanup(web.Close)
	browsertest.Do(t, tab, "subscribe", chromedp.Navigate(web.URL), browsertest.Until("window.ready"))
	total := underLoad(c, kill)
	browsertest.Do(t, tab, "hear the end", browsertest.Until("window.heard"))
	browsertest.Evaluate[heard](t, tab, "window.heard").check(t, total)
}
