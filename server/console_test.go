package server_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

// listens waits until a page listens to so many channels. It looks for no nodes, which a log
// that changes all the time would hold up.
func listens(channels int) browsertest.Action {
	return browsertest.Until(fmt.Sprintf("document.querySelector(`#state[data-state=open]`) && "+
		"document.querySelectorAll(`#channels [data-state=open]`).length === %d", channels))
}

// isOffline waits until a page has noticed that its connection has ended.
func isOffline() browsertest.Action {
	return browsertest.Until("document.querySelector(`#state:not([data-state=open])`)")
}

func publishFromForm(text string) browsertest.Action {
	return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#message"), text), chromedp.Click(chromedp.CSS("#send")))
}

// shows waits for a row of the log with this very text.
func shows(text string) browsertest.Action {
	return browsertest.Until(`[...document.querySelectorAll("#log .text")].some(e => e.textContent === ` + "`" + text + "`)")
}

// explains waits for a text in an element.
func explains(element, text string) browsertest.Action {
	return browsertest.Until("document.querySelector(`" + element + "`)?.textContent.includes(`" + text + "`)")
}

// In a real browser: two tabs, one publishes, both show it; the server is started
// again, and both come back by themselves.
func TestConsole(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	one := browsertest.Start(t)
	browsertest.Do(t, one, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias"), listens(1))
	two := browsertest.Tab(t, one)
	browsertest.Do(t, two, "open another tab", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=chat"), listens(2))

	const text = "¡Hola <b>mundo</b>!"
	browsertest.Do(t, one, "publish", publishFromForm(text), shows(text), explains("#latency", "ms"))
	browsertest.Do(t, two, "hear it in the other tab", shows(text))

	n.stop()
	for _, tab := range []context.Context{one, two} {
		browsertest.Do(t, tab, "notice the end", isOffline())
	}
	startAt(t, n.addr, server.Options{})
	browsertest.Do(t, one, "come back", listens(1))
	browsertest.Do(t, two, "come back", listens(2))
	browsertest.Do(t, two, "publish again", publishFromForm("otra vez"), shows("otra vez"))
	browsertest.Do(t, one, "hear it again", shows("otra vez"))
}

// A channel that the server refuses is said to be refused, and why. The others are heard all the
// same.
func TestConsoleRefused(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=a//b"), listens(1), explains("#log .note", "Not listening to a//b"))
	n.publish("noticias", "hola")
	browsertest.Do(t, tab, "hear the other", shows("hola"))
	browsertest.Do(t, tab, "add another", chromedp.SendKeys(chromedp.CSS("#channel"), "chat\r"), listens(2))
	n.publish("chat", "again")
	browsertest.Do(t, tab, "hear it", shows("again"))
}

// Two pages that say a name see each other among the members, and what was published before
// they came is there where they ask for it.
func TestConsoleMembersAndHistory(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Broker: open(t, "memory://"+keepHistory)})
	n.publish("c", "before")
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=c"), listens(1), explains("#unlisted", "Nobody"))
	browsertest.Do(t, tab, "read the history", chromedp.Click(chromedp.CSS("#past button")), explains("#history", "before"))
	for _, name := range []string{"ana", "luis"} {
		other := browsertest.Tab(t, tab)
		browsertest.Do(t, other, name, chromedp.Navigate("http://"+n.addr+"/?channel=c"), listens(1), chromedp.Click(chromedp.CSS("summary")),
			chromedp.SendKeys(chromedp.CSS("#member"), name+"\r"), explains("#members", name))
		browsertest.Do(t, tab, "see "+name, explains("#members", name))
	}
}

// startAt starts a server on a port that was just left.
func startAt(t *testing.T, addr string, o server.Options) *node {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return startOn(t, l, o)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
