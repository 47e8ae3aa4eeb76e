package server_test

import (
	"context"
	"net"
	"os"
	"os/exec"
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
	ctx, cancelBrowser := chromedp.NewContext(ctx)
	t.Cleanup(func() {
		if err := chromedp.Cancel(ctx); err != nil {
			t.Log("close the browser:", err)
		}
		cancelBrowser()
		cancelAllocator()
	})
	return ctx
}

// do runs actions in a tab.
func do(t *testing.T, tab context.Context, what string, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Location()); err != nil { // starts the browser, which outlives no timeout
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

// In a real browser: two tabs, one publishes, both show it; the server is started
// again, and both come back by themselves.
func TestConsole(t *testing.T) {
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

// screenshots saves the page as people see it, wide, narrow and dark.
func screenshots(t *testing.T, tab context.Context, dir string) {
	t.Helper()
	for name, width := range map[string]int64{"wide": 1100, "phone": 360} {
		do(t, tab, "resize", chromedp.EmulateViewport(width, 720))
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
