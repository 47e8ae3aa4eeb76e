// Package browsertest lets tests drive a real Chromium.
package browsertest

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// Patience bounds what must happen; nothing waits so long unless it has failed.
const Patience = 90 * time.Second

// An Action is a step in a tab.
type Action = chromedp.Action[chromedp.Void]

// Start starts a Chromium with a fresh profile, and more of its flags that are switches, and returns
// its first tab. It ends with the test. Where there is none the test is skipped, or fails where $CI is set.
func Start(t *testing.T, more ...string) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		Missing(t, "no chromium on PATH: apt-get install chromium")
	}
	flags := []chromedp.ExecAllocatorOption{chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoSandbox}
	switches := []string{"disable-gpu", "disable-quic", "no-first-run", "disable-background-networking", "disable-component-update", "disable-sync"}
	for _, name := range append(switches, more...) {
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

// Tab opens another tab of the same browser.
func Tab(t *testing.T, first context.Context) context.Context {
	t.Helper()
	tab, cancel := chromedp.NewContext(first)
	t.Cleanup(cancel)
	return tab
}

// Missing skips a test for want of a tool that the advice says how to get, and fails it where
// $CI is set.
func Missing(t *testing.T, advice string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(advice)
	}
	t.Skip(advice)
}

// Do runs actions in a tab. What names them where they fail.
func Do(t *testing.T, tab context.Context, what string, actions ...Action) {
	t.Helper()
	if _, err := chromedp.Run(tab, chromedp.Location()); err != nil { // opens the tab, which would not outlive a timeout
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(tab, Patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// Evaluate returns what an expression is in a tab. It waits where that is a promise.
func Evaluate[T any](t *testing.T, tab context.Context, expression string) T {
	t.Helper()
	ctx, cancel := context.WithTimeout(tab, Patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// Until waits until an expression is true in a tab.
func Until(expression string) Action {
	return chromedp.Poll[chromedp.Void](expression, chromedp.WithPollingTimeout(Patience))
}

// Screenshot saves what a tab shows as name.png in the folder that $PREGON_SCREENSHOTS names,
// for people to look at. Without one it does nothing.
func Screenshot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PREGON_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
