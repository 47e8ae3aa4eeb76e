package console_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/pregon/pregon/client/browsertest"
)

// axe returns the script of axe-core, from npm.
func axe(t *testing.T) string {
	t.Helper()
	for _, folder := range filepath.SplitList(os.Getenv("NODE_PATH")) {
		if script, err := os.ReadFile(filepath.Join(folder, "axe-core", "axe.min.js")); err == nil {
			return string(script)
		}
	}
	browsertest.Missing(t, "no axe-core: npm install axe-core, and set NODE_PATH")
	return ""
}

// fill has all parts of the page show something.
const fill = `
	for (const room of Object.values(fake.rooms)) room.emit("state", { state: "open" });
	fake.rooms["a//b"].end({ code: "bad_channel", status: 400, message: "The channel name has an empty segment." });
	room = fake.rooms["room.1"];
	room.emit("members", Object.assign([{ sub: "ana", connections: 2, info: { name: "Ana" } }, { sub: "luis" }], { count: 2 }));
	room.hear("Hello, everybody", { by: { sub: "ana" } });
	room.hear('{"temperature":21.5,"unit":"C","place":"the kitchen on the first floor, beside the window"}');
	room.hear(new Uint8Array(300));
	room.emit("gap", { channel: "room.1", reason: "link-lost" });
	room.hear("A_long_word_".repeat(20));
	fake.rooms.c.hear("¡qué bien!");
	room.emit("state", { state: "reconnecting" });
	room.emit("state", { state: "open" });
	room.hear("the last");
	for (const button of document.querySelectorAll(".name")) if (button.textContent === "room.1") button.click();
	fake.pregon.emit("state", { state: "reconnecting", reason: { message: "The server cannot be reached." }, wait: 60 });
	document.getElementById("access").open = true;
	target.value = "c"; message.value = "hello"; document.getElementById("publish").requestSubmit();
	document.querySelector(".name").click(); document.querySelector("#past button").click();`

// Nobody is kept out: axe-core finds nothing, whatever the width and the colours, and nothing
// is wider than the window.
func TestConsoleLook(t *testing.T) {
	t.Parallel()
	script := axe(t)
	tab := open(t, browsertest.Start(t), serve(t)+"/?channel=c&channel=a//b&channel=room.1")
	act(t, tab, "fill", fill, text("read", "2 messages")+"&&"+text("latency", "ms"))
	browsertest.Do(t, tab, "load axe-core", chromedp.Evaluate[chromedp.Void](script+";0"))
	for _, width := range []int64{360, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			name := fmt.Sprintf("%s-%d", scheme, width)
			browsertest.Do(t, tab, name, chromedp.EmulateViewport(width, 800),
				chromedp.Evaluate[chromedp.Void]("document.documentElement.style.colorScheme = `"+scheme+"`"),
				browsertest.Until(fmt.Sprintf("innerWidth === %d", width)))
			browsertest.Do(t, tab, "go to the top", chromedp.Evaluate[chromedp.Void]("scrollTo(0, 0)"))
			browsertest.Screenshot(t, tab, name)
			if wide := browsertest.Evaluate[int64](t, tab, "document.documentElement.scrollWidth"); wide > width {
				t.Errorf("%s: the page is %d pixels wide", name, wide)
			}
			for _, violation := range browsertest.Evaluate[[]json.RawMessage](t, tab, `axe.run().then(found => found.violations.map(
				v => ({ rule: v.id, help: v.help, nodes: v.nodes.map(n => n.html + " " + n.failureSummary) })))`) {
				t.Errorf("%s: %s", name, violation)
			}
		}
	}
}
