package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/broker"
	"github.com/pregon/pregon/broker/memory"
	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

// The page works below a prefix, with a slash at its end and without, and behind a proxy that
// does not pass upgrades on. Behind one that does not pass on Host it says why it cannot connect.
func TestFoundConsoleBehindAProxy(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	target, err := url.Parse("http://" + n.addr)
	if err != nil {
		t.Fatal(err)
	}
	// proxy passes on Host and upgrades, or does not.
	proxy := func(host, upgrades bool) http.Handler {
		return &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if host {
				r.Out.Host = r.In.Host
			}
			if !upgrades {
				r.Out.Header.Del("Upgrade")
				r.Out.Header.Del("Connection")
			}
		}}
	}
	serve := func(h http.Handler) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	prefixed, nothing := serve(http.StripPrefix("/rt", proxy(true, true))), serve(proxy(false, false))
	noHost, noUpgrades := serve(proxy(false, true)), serve(proxy(true, false))
	tab := browsertest.Start(t) // ends ahead of the proxies, which wait for its connections
	for _, path := range []string{"/rt/", "/rt"} {
		browsertest.Do(t, tab, "open "+path, chromedp.Navigate(prefixed+path+"?channel=noticias"), listens(1))
		browsertest.Do(t, tab, "publish", publishFromForm("hola "+path), shows("hola "+path))
	}
	for name, address := range map[string]string{"nothing is passed on": nothing, "Host is not passed on": noHost} {
		browsertest.Do(t, tab, name, chromedp.Navigate(address+"/?channel=noticias"), explains("#connection", "--allow-origin"))
	}
	browsertest.Do(t, tab, "upgrades are not passed on", chromedp.Navigate(noUpgrades+"/?channel=noticias"), listens(1))
	browsertest.Do(t, tab, "publish", publishFromForm("hola"), shows("hola"))
}

// A page that cannot reach the server says so.
func TestFoundConsoleSaysThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/"), listens(1))
	n.stop()
	browsertest.Do(t, tab, "notice the end", explains("#connection", "does not answer"))
	startAt(t, n.addr, server.Options{})
	browsertest.Do(t, tab, "come back", listens(1))
}

// Adding and removing a channel while messages come costs no message of the others,
// and repeats none.
func TestFoundConsoleChangesChannels(t *testing.T) {
	for _, history := range []string{"", keepHistory} {
		t.Run("history "+history, func(t *testing.T) {
			n := start(t, server.Options{Broker: open(t, "memory://"+history)})
			tab := browsertest.Start(t)
			browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=stays&channel=too"), listens(2), record())
			stop := n.publishNumbers("stays", "too")
			for i := range 20 {
				text := strconv.Itoa(i)
				browsertest.Do(t, tab, "add a channel", chromedp.Evaluate[chromedp.Void](`channel.value = "extra"; add.requestSubmit()`), listens(3))
				n.publish("extra", text)
				browsertest.Do(t, tab, "hear it", heard("extra", text))
				browsertest.Do(t, tab, "remove it", chromedp.Evaluate[chromedp.Void](`document.querySelector("#channels li:nth-of-type(3) .remove").click()`), listens(2))
			}
			last := stop()
			for _, channel := range []string{"stays", "too"} {
				browsertest.Do(t, tab, "hear the last", heard(channel, strconv.Itoa(last)))
				checkNumbers(t, channel, browsertest.Evaluate[[]string](t, tab, "heard[`"+channel+"`]"), last)
			}
			if remarks := browsertest.Evaluate[string](t, tab, "heard.notes.join()"); remarks != "" {
				t.Errorf("the page says %q", remarks)
			}
		})
	}
}

// record makes the page keep the texts of all lines, by channel, and the remarks.
func record() browsertest.Action {
	return chromedp.Evaluate[chromedp.Void](`
		heard = { notes: [] };
		new MutationObserver(changes => {
			for (const line of changes.flatMap(c => [...c.addedNodes])) {
				if (line.matches(".note")) heard.notes.push(line.textContent);
				else (heard[line.querySelector(".channel").firstChild.data] ??= []).push(line.querySelector(".text").textContent);
			}
		}).observe(document.getElementById("log"), { childList: true });`)
}

// heard waits until a page that records has heard text.
func heard(channel, text string) browsertest.Action {
	return browsertest.Until("heard[`" + channel + "`]?.includes(`" + text + "`)")
}

// publishNumbers publishes 0, 1, 2 and so on to channels, about as fast as a browser
// can show it, until the function that it returns is called. That returns the last.
func (n *node) publishNumbers(channels ...string) (stop func() int) {
	ctx, cancel := context.WithCancel(context.Background())
	last := make(chan int, 1)
	go func() {
		tick := time.NewTicker(4 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			for _, c := range channels {
				if status, body := n.post("/publish/"+c, "text/plain", strconv.Itoa(i)); status != http.StatusOK {
					n.t.Errorf("publish: %d %s", status, body)
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				last <- i
				return
			}
		}
	}()
	stop = sync.OnceValue(func() int { cancel(); return <-last })
	n.t.Cleanup(func() { stop() })
	return stop
}

// checkNumbers checks that got is 0 to last.
func checkNumbers(t *testing.T, channel string, got []string, last int) {
	t.Helper()
	times := map[string]int{}
	for _, text := range got {
		times[text]++
	}
	missing, doubled := 0, 0
	for i := range last + 1 {
		switch times[strconv.Itoa(i)] {
		case 0:
			missing++
		case 1:
		default:
			doubled++
		}
	}
	inOrder := slices.IsSortedFunc(got, func(a, b string) int { x, _ := strconv.Atoi(a); y, _ := strconv.Atoi(b); return x - y })
	if missing > 0 || doubled > 0 || !inOrder {
		t.Errorf("%s: of %d messages %d are missing, %d doubled; in order: %v", channel, last+1, missing, doubled, inOrder)
	}
}

// A page that was cut off goes on where it was: what was published meanwhile is
// shown, and a hole is told where it is.
func TestFoundConsoleComesBackWithHistory(t *testing.T) {
	t.Parallel()
	p := newPast(3)
	t.Cleanup(func() { _ = p.Close() })
	n := start(t, server.Options{Broker: p})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=c"), listens(1))
	n.publish("c", "zero")
	browsertest.Do(t, tab, "hear", shows("zero"))
	for _, c := range []struct{ meanwhile, want string }{
		{"", "zero (nothing) live"},
		{"one two three", "zero (nothing) live (nothing) one two three live"},
		{"lost lost lost lost", "zero (nothing) live (nothing) one two three live (hole) live"},
		{"four", "zero (nothing) live (nothing) one two three live (hole) live (nothing) four live"},
	} {
		n.stop()
		browsertest.Do(t, tab, "notice the end", isOffline())
		for _, text := range strings.Fields(c.meanwhile) {
			if _, err := p.Publish(t.Context(), broker.Message{Channel: "c", Data: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		}
		n = startAt(t, n.addr, server.Options{Broker: p})
		browsertest.Do(t, tab, "come back", listens(1))
		n.publish("c", "live")
		browsertest.Do(t, tab, "hear", browsertest.Until(fmt.Sprintf("log.lastElementChild.textContent.includes(`live`) && log.childElementCount >= %d",
			len(strings.Fields(c.want)))))
		if got := browsertest.Evaluate[string](t, tab, inLog); got != c.want {
			t.Errorf("after %q: %q, want %q", c.meanwhile, got, c.want)
		}
	}
}

// inLog is the texts in the log, and in parentheses what is said between them: that nothing is
// missing, or that there may be a hole.
const inLog = "[...log.children].map(e => e.querySelector(`.text`)?.textContent ?? (e.textContent.startsWith(`Nothing`) ? `(nothing)` : `(hole)`)).join(` `)"

// Without a history every cut is told, at its place and of each channel.
func TestFoundConsoleComesBackWithoutHistory(t *testing.T) {
	t.Parallel()
	b := memory.New()
	t.Cleanup(func() { _ = b.Close() })
	n := start(t, server.Options{Broker: b})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=c"), listens(1))
	n.publish("c", "before")
	browsertest.Do(t, tab, "hear", shows("before"))
	n.stop()
	browsertest.Do(t, tab, "notice the end", isOffline())
	n = startAt(t, n.addr, server.Options{Broker: b})
	browsertest.Do(t, tab, "come back", listens(1))
	n.publish("c", "after")
	browsertest.Do(t, tab, "hear", shows("after"))
	if got, want := browsertest.Evaluate[string](t, tab, inLog), "before (hole) after"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
