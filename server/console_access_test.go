package server_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/server"
)

// give types a credential into the page.
func give(credential string) chromedp.Action[chromedp.Void] {
	return chromedp.Steps(chromedp.Evaluate[chromedp.Void]("document.getElementById(`credential`).value = ``"), chromedp.SendKeys(chromedp.CSS("#credential"), credential+"\t"))
}

// explains waits for a text in an element.
func explains(element, text string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void]("document.querySelector(`"+element+"`).textContent.includes(`"+text+"`)", chromedp.WithPollingTimeout(patience))
}

// The page says that a credential is needed, listens and publishes with a token, publishes with a key, and
// says why neither may do what it may not.
func TestConsoleCredentials(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true)})
	tab := browser(t)
	refused := chromedp.WaitVisible(chromedp.CSS(`#state[data-state=refused]`))
	do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=room.1"), refused, explains("#state", "needs a token: give"))
	screenshot(t, tab, "needed")
	do(t, tab, "publish as a stranger", publishFromForm("hola"), explains("#error", "needs a token or a key"))
	do(t, tab, "listen with a token", give(anaToken), isLive(), publishFromForm(" ana"), shows("hola ana"))
	screenshot(t, tab, "token")
	do(t, tab, "listen where it is not for", chromedp.SendKeys(chromedp.CSS("#channel"), "room.2\r"), notes("does not grant"))
	screenshot(t, tab, "forbidden")
	do(t, tab, "publish with a key", give(appKey), explains("#state", "a key does not count for listening"),
		publishFromForm("of the application"), chromedp.Poll[chromedp.Void](`document.querySelector("#message").value === ""`, chromedp.WithPollingTimeout(patience)))
	do(t, tab, "come with a forgery", give(forgery), explains("#state", "The credential is not valid"), publishFromForm("x"), explains("#error", "The credential is not valid"))
	if stored := evaluate[string](t, tab, "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"); strings.Contains(stored, "eyJ") {
		t.Error("the page keeps what it was given:", stored)
	}
}

// screenshot saves the page for people to look at, where they want that.
func screenshot(t *testing.T, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv("PREGON_SCREENSHOTS")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(tab, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(dir+"/"+name+".png", png, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
