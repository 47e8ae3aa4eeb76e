package server_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server"
)

// give types a credential into the page.
func give(credential string) browsertest.Action {
	return chromedp.Steps(chromedp.Evaluate[chromedp.Void]("document.getElementById(`credential`).value = ``"), chromedp.SendKeys(chromedp.CSS("#credential"), credential+"\r"))
}

// The page says that a credential is needed, listens and publishes with a token, publishes with a
// key, and says why neither may do what it may not. It keeps nothing of what it is given.
func TestConsoleCredentials(t *testing.T) {
	t.Parallel()
	n := start(t, server.Options{Access: rules(t, true, true)})
	tab := browsertest.Start(t)
	browsertest.Do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/?channel=room.1"), explains("#log", "Not listening to room.1"),
		browsertest.Until("document.getElementById(`access`).open"))
	browsertest.Do(t, tab, "publish as a stranger", publishFromForm("hola"), explains("#receipt", "Not published"))
	browsertest.Do(t, tab, "listen with a token", give(anaToken), listens(1), publishFromForm(" ana"), shows("hola ana"))
	browsertest.Do(t, tab, "listen where it is not for", chromedp.SendKeys(chromedp.CSS("#channel"), "room.2\r"), explains("#log", "Not listening to room.2"))
	browsertest.Do(t, tab, "publish with a key", give(appKey), publishFromForm("of the application"), explains("#receipt", "Published to room.2"))
	browsertest.Do(t, tab, "come with a forgery", give(forgery), explains("#connection", "not valid"), publishFromForm("x"), explains("#receipt", "Not published"))
	if kept := browsertest.Evaluate[string](t, tab, "JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie, location.href])"); strings.Contains(kept, "eyJ") {
		t.Error("the page keeps what it was given:", kept)
	}
}
