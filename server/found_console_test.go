package server_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/server"
)

// The page works below a prefix, with a slash at its end and without, and behind a
// proxy that passes neither Host nor upgrades on it says why it cannot connect.
func TestFoundConsoleBehindAProxy(t *testing.T) {
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
	prefixed := serve(http.StripPrefix("/rt", proxy(true, true)))
	tab := browser(t)
	for _, path := range []string{"/rt/", "/rt"} {
		do(t, tab, "open "+path, chromedp.Navigate(prefixed+path+"?channel=noticias"), isLive())
		do(t, tab, "publish", publishFromForm("hola "+path), shows("hola "+path))
	}
	for name, c := range map[string]struct{ address, why string }{
		"nothing is passed on":       {serve(proxy(false, false)), "--allow-origin"},
		"upgrades are not passed on": {serve(proxy(true, false)), "upgrades"},
		"Host is not passed on":      {serve(proxy(false, true)), "--allow-origin"},
	} {
		do(t, tab, name, chromedp.Navigate(c.address+"/?channel=noticias"), says(c.why))
	}
}

// says waits for a reason beside the state of the connection.
func says(text string) chromedp.Action[chromedp.Void] {
	return chromedp.Poll[chromedp.Void]("document.getElementById(`state`).textContent.includes(`"+text+"`)", chromedp.WithPollingTimeout(patience))
}

// A page that cannot reach the server says so.
func TestFoundConsoleSaysThatNobodyAnswers(t *testing.T) {
	n := start(t, server.Options{})
	tab := browser(t)
	do(t, tab, "open", chromedp.Navigate("http://"+n.addr+"/"), isLive())
	n.stop()
	do(t, tab, "notice the end", says("cannot be reached"))
	startAt(t, n.addr, server.Options{})
	do(t, tab, "come back", isLive())
}
