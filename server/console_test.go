package server_test

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/server"
)

// browser starts a Chromium with a fresh profile.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		const advice = "no chromium on PATH: apt-get install chromium"
		if os.Getenv("CI") != "" {
			t.Fatal(advice)
		}
		t.Skip(advice)
	}
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox}
	for _, name := range []string{"disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"} {
		flags = append(flags, chromedp.Flag(name, true))
	}
	ctx, cancelAllocator := chromedp.NewExecAllocator(context.Background(), flags...)
	t.Cleanup(cancelAllocator)
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	// It is started here, as Cancel waits for ever for one that never was.
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal("start the browser:", err)
	}
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("close the browser:", err)
		}
		cancelBrowser()
	})
	return ctx
}

// do runs actions in a tab.
func do(t *testing.T, tab context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Location()); err != nil { // opens the tab, which would not outlive a timeout
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func isLive() chromedp.Action[chromedp.Void] {
	return chromedp.WaitVisible(chromedp.CSS(`#state[data-state=live]`))
}

func publishFromForm(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.SendKeys(chromedp.CSS("#message"), text), chromedp.Click(chromedp.CSS("#send")))
}

// shows waits for a line of the log with this very text.
func shows(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void](`[...document.querySelectorAll("#log .text")].some(e => e.textContent === `+"`"+text+"`)",
		chromedp.WithPollingTimeout(patience))
}

// notes waits for a remark in the log with this text in it.
func notes(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void]("[...document.querySelectorAll(`#log .note`)].some(e => e.textContent.includes(`"+text+"`))",
		chromedp.WithPollingTimeout(patience))
}

// evaluate returns what an expression is in a tab.
func evaluate[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// In a real browser: two tabs, one publishes, both show it; the server is started
// again, and both come back by themselves.
func TestConsole(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	one := browser(t)
	do(t, one, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias"), isLive())
	two, cancel := chromedp.NewContext(one)
	defer cancel()
	do(t, two, "open another tab", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=chat"), isLive())

	const text = "¡Hola <b>mundo</b>!"
	do(t, one, "publish", publishFromForm(text), shows(text))
	do(t, two, "hear it in the other tab", shows(text))

	n.stop()
	for _, tab := range []context.Context{one, two} {
		do(t, tab, "notice the end", chromedp.WaitVisible(chromedp.CSS(`#state[data-state=reconnecting]`)))
	}
	startAt(t, n.addr, server.Options{})
	for _, tab := range []context.Context{one, two} {
		do(t, tab, "come back", isLive())
	}
	do(t, two, "publish again", publishFromForm("otra vez"), shows("otra vez"))
	do(t, one, "hear it again", shows("otra vez"))
	if dir := os.Getenv("PREGON_SCREENSHOTS"); dir != "" {
		screenshots(t, one, dir)
	}
}

// A channel that the server refuses is said to be refused, and why. The others are
// heard all the same, and without it the page is live again.
func TestConsoleRefused(t *testing.T) {
	n := start(t, server.Options{})
	tab := browser(t)
	do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=noticias&channel=a//b"),
		chromedp.WaitVisible(chromedp.CSS(`#state[data-state=refused]`)), notes("channel name"))
	n.publish("noticias", "hola")
	do(t, tab, "hear the other", shows("hola"))
	do(t, tab, "remove the channel", chromedp.Click(chromedp.CSS(`.chip:nth-of-type(2) button`)), isLive())
	// The keyboard is where the button was.
	do(t, tab, "add another", chromedp.KeyEvent("chat\r"), chromedp.WaitVisible(chromedp.CSS(`.chip[data-state=live]:nth-of-type(2)`)), isLive())
	n.publish("chat", "again")
	do(t, tab, "hear it", shows("again"))
}

// The log follows its last line through a change of the window's size, holds
// still for a reader who has scrolled up, and keeps no more than 500 lines.
func TestConsoleFollows(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{})
	tab := browser(t)
	do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/"), isLive())
	fill := func(last string) {
		t.Helper()
		for range 300 {
			n.publish("noticias", strings.Repeat("more ", 20))
		}
		n.publish("noticias", last)
		do(t, tab, "hear "+last, shows(last))
	}
	atEnd := `log.scrollHeight - log.scrollTop - log.clientHeight < 5`

	do(t, tab, "enlarge", chromedp.EmulateViewport(1000, 900))
	fill("first")
	do(t, tab, "shrink", chromedp.EmulateViewport(360, 500), chromedp.Poll[chromedp.Void](`innerHeight === 500 && `+atEnd, chromedp.WithPollingTimeout(patience)))
	fill("second")
	do(t, tab, "follow", chromedp.Poll[chromedp.Void](atEnd+` && log.childElementCount === 500`, chromedp.WithPollingTimeout(patience)))

	// The page hears of its own scroll a frame later, when the lines may have become longer.
	do(t, tab, "narrow while it scrolls", chromedp.Evaluate[chromedp.Void](`log.scrollTop -= 30; follow(); document.body.style.width = "200px"`),
		chromedp.Poll[chromedp.Void](`document.body.clientWidth === 200 && `+atEnd, chromedp.WithPollingTimeout(patience)))

	// A frame passes between the two, in which the page hears of the scroll.
	do(t, tab, "scroll up", chromedp.Poll[chromedp.Void](`log.scrollTop === 100 || (log.scrollTop = 100, false)`, chromedp.WithPollingTimeout(patience)))
	n.publish("noticias", "third")
	do(t, tab, "hold still", shows("third"), chromedp.Poll[chromedp.Void](`!(`+atEnd+`)`, chromedp.WithPollingTimeout(patience)))
}

// screenshots saves the page as people see it: wide and narrow, light and dark.
func screenshots(t *testing.T, tab context.Context, dir string) {
	t.Helper()
	for name, look := range map[string]struct {
		width  int64
		scheme string
	}{"wide": {1100, "light"}, "wide-dark": {1100, "dark"}, "phone": {360, "light"}, "phone-dark": {360, "dark"}} {
		do(t, tab, "resize", chromedp.EmulateViewport(look.width, 720),
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
