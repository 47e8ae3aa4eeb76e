package console_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"github.com/pregon/pregon/client/browsertest"
	"github.com/pregon/pregon/server/console"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The page in a real browser, with a client that does what a test says.
func TestConsole(t *testing.T) {
	t.Parallel()
	browser, address := browsertest.Start(t), serve(t)
	for _, c := range []struct {
		name, query string
		test        func(*testing.T, context.Context)
	}{
		{"states", "", testStates},
		{"follow", "?channel=c", testFollow},
		{"flood", "?channel=flood", testFlood},
		{"log", "?channel=c", testLog},
		{"refusal", "?channel=good&channel=a//b&channel=plain", testRefusal},
		{"channels", "?channel=a&channel=b&channel=c", testChannels},
		{"members", "?channel=c&channel=other", testMembers},
		{"history", "?channel=none&channel=c", testHistory},
		{"publish", "?channel=c", testPublish},
		{"token", "?channel=c&channel=other", testToken},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t, browser, address+"/"+c.query)) })
	}
}

// serve serves the page with the client of testdata, and some history.
func serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", console.Page())
	for _, f := range console.Parts() {
		mux.Handle("GET "+f.Path, f)
	}
	mux.HandleFunc("GET /pregon.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, "testdata/pregon.js") })
	for channel, history := range map[string]string{
		"c":    `{"messages":[{"id":"1","data":"<i>"},{"id":"2","data":"AAA=","encoding":"base64","by":{"sub":"ana"}}],"complete":true,"more":true}`,
		"none": `{"messages":[],"complete":true,"more":false}`,
	} {
		mux.HandleFunc("GET /history/"+channel, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(history)) })
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL
}

// open opens a page in a tab of its own, which ends with the test.
func open(t *testing.T, browser context.Context, address string) context.Context {
	t.Helper()
	tab := browsertest.Tab(t, browser)
	browsertest.Do(t, tab, "open", chromedp.Navigate(address), browsertest.Until("globalThis.fake !== undefined"))
	return tab
}

// act runs a script in a tab, then waits until a condition is met.
func act(t *testing.T, tab context.Context, what, script, until string) {
	t.Helper()
	browsertest.Do(t, tab, what, chromedp.Evaluate[chromedp.Void](script), browsertest.Until(until))
}

// text is an expression that says whether an element has a text in it.
func text(id, part string) string {
	return fmt.Sprintf("document.getElementById(%q).textContent.includes(%q)", id, part)
}

// Each state of the connection is shown with its reason, and the time until the next attempt
// counts down without being read aloud.
func testStates(t *testing.T, tab context.Context) {
	act(t, tab, "connect", `fake.pregon.emit("state", { state: "open" })`, `document.getElementById("state").textContent === "connected"`)
	act(t, tab, "lose it", `fake.pregon.emit("state", { state: "reconnecting", reason: { message: "nobody answers" }, wait: 60 })`,
		text("state", "reconnecting: nobody answers")+"&&"+text("countdown", "again in "))
	browsertest.Do(t, tab, "count down", browsertest.Until("parseInt(countdown.textContent.match(/\\d+/)) < 60"))
	if spoken := browsertest.Evaluate[string](t, tab, `document.querySelector("[role=status]").textContent`); strings.Contains(spoken, "again") {
		t.Errorf("%q is read aloud each second", spoken)
	}
	act(t, tab, "end", `fake.pregon.emit("state", { state: "closed", reason: { message: "no longer allowed" } })`, text("state", "closed: no longer allowed")+"&& !again.hidden")
	act(t, tab, "connect again", `again.click()`, `fake.connections.length === 2 && fake.connections[0].closed`)
}

// Thousands of messages at once freeze nothing: the page makes the rows of a frame together, and
// only those that stay. A screen reader is told how many messages they were.
func testFlood(t *testing.T, tab context.Context) {
	act(t, tab, "flood", `
		spoken = [], made = 0;
		new MutationObserver(() => spoken.push(document.getElementById("spoken").textContent))
			.observe(document.getElementById("spoken"), { childList: true });
		new MutationObserver(changes => made += changes.reduce((n, c) => n + c.addedNodes.length, 0)).observe(log, { childList: true });
		for (let i = 0; i < 50_000; i++) fake.rooms.flood.hear("message " + i);`,
		`log.lastElementChild?.textContent.includes("message 49999") && spoken.length > 0`)
	if made := browsertest.Evaluate[int](t, tab, "made"); made > 1000 {
		t.Errorf("%d rows were made, of which 1000 stay", made)
	}
	if got, want := browsertest.Evaluate[string](t, tab, "spoken.join()"), "50,000 messages, at last flood: message 49999"; got != want {
		t.Errorf("read aloud is %q, want %q", got, want)
	}
	act(t, tab, "go on", `fake.rooms.flood.hear("one more")`, `log.lastElementChild.textContent.includes("one more")`)
	if rows := browsertest.Evaluate[int](t, tab, "log.childElementCount"); rows != 1000 {
		t.Errorf("%d rows, want 1000", rows)
	}
	browsertest.Do(t, tab, "count", browsertest.Until(text("count", "50,001 messages")))
}

// The log follows its last row through a change of the window's size, and holds still for a reader
// who has scrolled up.
func testFollow(t *testing.T, tab context.Context) {
	const atEnd = "box.scrollHeight - box.scrollTop - box.clientHeight < 5"
	fill := func(rows int) string {
		return fmt.Sprintf("for (let i = 0; i < %d; i++) fake.rooms.c.hear(`more `.repeat(20));", rows)
	}
	browsertest.Do(t, tab, "enlarge", chromedp.EmulateViewport(1300, 900))
	act(t, tab, "fill", "box = document.getElementById(`scroll`);"+fill(300), "log.childElementCount === 300 &&"+atEnd)
	browsertest.Do(t, tab, "shrink", chromedp.EmulateViewport(360, 700), browsertest.Until("innerHeight === 700 &&"+atEnd))
	act(t, tab, "fill", fill(900), "log.childElementCount === 1000 &&"+atEnd)

	// The page hears of its own scroll a frame later, when the rows may have become longer.
	act(t, tab, "narrow while it scrolls", fill(1)+"document.body.style.width = `250px`", "document.body.clientWidth === 250 &&"+atEnd)

	// A frame passes between the two, in which the page hears of the scroll.
	browsertest.Do(t, tab, "scroll up", browsertest.Until("box.scrollTop === 100 || (box.scrollTop = 100, false)"))
	act(t, tab, "hold still", "fake.rooms.c.hear(`last`)", "log.lastElementChild.textContent.includes(`last`) && !("+atEnd+") && !newest.hidden")
	act(t, tab, "go to the newest", "newest.click()", atEnd+"&& newest.hidden && document.activeElement === box")
}
