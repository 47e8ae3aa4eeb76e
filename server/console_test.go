package server_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/internal/browsertest"
	"github.com/pregon/pregon/server"
)

func isLive() browsertest.Action {
	return chromedp.WaitVisible(chromedp.CSS(`#state[data-state=live]`))
}

func publishFromForm(text string) browsertest.Action {
	return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#message"), text), chromedp.Click(chromedp.CSS("#send")))
}

// shows waits for a line of the log with this very text.
func shows(text string) browsertest.Action {
	return browsertest.Until(`[...document.querySelectorAll("#log .text")].some(e => e.textContent === ` + "`" + text + "`)")
}

// notes waits for a remark in the log with this text in it.
func notes(text string) browsertest.Action {
	return browsertest.Until("[...document.querySelectorAll(`#log .note`)].some(e => e.textContent.includes(`" + text + "`))")
}

// In a real browser: two tabs, one publishes, both show it; the server is started
// again, and both come back by themselves.
func TestConsole(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	one := browsertest.Start(t)
	browsertest.Do(t, one, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias"), isLive())
	two, cancel := chromedp.NewContext(one)
	defer cancel()
	browsertest.Do(t, two, "open another tab", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=chat"), isLive())

	const text = "¡Hola <b>mundo</b>!"
	browsertest.Do(t, one, "publish", publishFromForm(text), shows(text))
	browsertest.Do(t, two, "hear it in the other tab", shows(text))

	n.stop()
	for _, tab := range []context.Context{one, two} {
		browsertest.Do(t, tab, "notice the end", chromedp.WaitVisible(chromedp.CSS(`#state[data-state=reconnecting]`)))
	}
	startAt(t, n.addr, server.Options{})
	for _, tab := range []context.Context{one, two} {
		browsertest.Do(t, tab, "come back", isLive())
	}
	browsertest.Do(t, two, "publish again", publishFromForm("otra vez"), shows("otra vez"))
	browsertest.Do(t, one, "hear it again", shows("otra vez"))
	if dir := os.Getenv("PREGON_SCREENSHOTS"); dir != "" {
		screenshots(t, one, dir)
	}
}

// A channel that the server refuses is said to be refused, and why. The others are
// heard all the same, and without it the page is live again.
func TestConsoleRefused(t *testing.T) {
	n := start(t, server.Options{})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=a//b"),
		chromedp.WaitVisible(chromedp.CSS(`#state[data-state=refused]`)), notes("channel name"))
	n.publish("noticias", "hola")
	browsertest.Do(t, tab, "hear the other", shows("hola"))
	browsertest.Do(t, tab, "remove the channel", chromedp.Click(chromedp.CSS(`.chip:nth-of-type(2) button`)), isLive())
	// The keyboard is where the button was.
	browsertest.Do(t, tab, "add another", chromedp.KeyEvent("chat\r"), chromedp.WaitVisible(chromedp.CSS(`.chip[data-state=live]:nth-of-type(2)`)), isLive())
	n.publish("chat", "again")
	browsertest.Do(t, tab, "hear it", shows("again"))
}

// The log follows its last line through a change of the window's size, holds
// still for a reader who has scrolled up, and keeps no more than 500 lines.
func TestConsoleFollows(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/"), isLive())
	fill := func(last string) {
		t.Helper()
		for range 300 {
			n.publish("noticias", strings.Repeat("more ", 20))
		}
		n.publish("noticias", last)
		browsertest.Do(t, tab, "hear "+last, shows(last))
	}
	atEnd := `log.scrollHeight - log.scrollTop - log.clientHeight < 5`

	browsertest.Do(t, tab, "enlarge", chromedp.EmulateViewport(1000, 900))
	fill("first")
	browsertest.Do(t, tab, "shrink", chromedp.EmulateViewport(360, 500), browsertest.Until(`innerHeight === 500 && `+atEnd))
	fill("second")
	browsertest.Do(t, tab, "follow", browsertest.Until(atEnd+` && log.childElementCount === 500`))

	// The page hears of its own scroll a frame later, when the lines may have become longer.
	browsertest.Do(t, tab, "narrow while it scrolls", chromedp.Evaluate[chromedp.Void](`log.scrollTop -= 30; follow(); document.body.style.width = "200px"`),
		browsertest.Until(`document.body.clientWidth === 200 && `+atEnd))

	// A frame passes between the two, in which the page hears of the scroll.
	browsertest.Do(t, tab, "scroll up", browsertest.Until(`log.scrollTop === 100 || (log.scrollTop = 100, false)`))
	n.publish("noticias", "third")
	browsertest.Do(t, tab, "hold still", shows("third"), browsertest.Until(`!(`+atEnd+`)`))
}

// screenshots saves the page as people see it: wide and narrow, light and dark.
func screenshots(t *testing.T, tab context.Context, dir string) {
	t.Helper()
	for name, look := range map[string]struct {
		width  int64
		scheme string
	}{"wide": {1100, "light"}, "wide-dark": {1100, "dark"}, "phone": {360, "light"}, "phone-dark": {360, "dark"}} {
		browsertest.Do(t, tab, "resize", chromedp.EmulateViewport(look.width, 720),
			chromedp.Poll[chromedp.Void]("(document.documentElement.style.colorScheme = `"+look.scheme+"`)"))
		png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name+".png", png, 0o644); err != nil {
			t.Fatal(err)
		}
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
