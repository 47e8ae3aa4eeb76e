package server_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/internal/browsertest"
	"github.com/pregon/pregon/server"
)

// give types a credential into the page.
func give(credential string) browsertest.Action {
	return chromedp.Steps(chromedp.Evaluate[chromedp.Void]("document.getElementById(`credential`).value = ``"), chromedp.SendKeys(chromedp.CSS("#credential"), credential+"\t"))
}

// explains waits for a text in an element.
func explains(element, text string) browsertest.Action {
	return browsertest.Until("document.querySelector(`" + element + "`).textContent.includes(`" + text + "`)")
}

// The page says that a credential is needed, listens and publishes with a token, publishes with a key, and
// says why neither may do what it may not.
func TestConsoleCredentials(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true)})
	tab := browsertest.Start(t)
	refused := chromedp.WaitVisible(chromedp.CSS(`#state[data-state=refused]`))
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=room.1"), refused, explains("#state", "needs a token: give"))
	browsertest.Screenshot(t, tab, "needed")
	browsertest.Do(t, tab, "publish as a stranger", publishFromForm("hola"), explains("#error", "needs a token or a key"))
	browsertest.Do(t, tab, "listen with a token", give(anaToken), isLive(), publishFromForm(" ana"), shows("hola ana"))
	browsertest.Screenshot(t, tab, "token")
	browsertest.Do(t, tab, "listen where it is not for", chromedp.SendKeys(chromedp.CSS("#channel"), "room.2\r"), notes("does not grant"))
	browsertest.Screenshot(t, tab, "forbidden")
	browsertest.Do(t, tab, "publish with a key", give(appKey), explains("#state", "a key does not count for listening"),
		publishFromForm("of the application"), browsertest.Until(`document.querySelector("#message").value === ""`))
	browsertest.Do(t, tab, "come with a forgery", give(forgery), explains("#state", "The credential is not valid"), publishFromForm("x"), explains("#error", "The credential is not valid"))
	if stored := browsertest.Evaluate[string](t, tab, "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"); strings.Contains(stored, "eyJ") {
		t.Error("the page keeps what it was given:", stored)
	}
}
